"""The configuration file: what it says, and how its mistakes are named."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from qonduit_emulator import Emulator, SettingError, read_configuration
from qonduit_emulator._accounts import Limits
from qonduit_emulator._configuration import parse_configuration

WHOLE = """
region = "ap-southeast-1"

[accounts.team]
state = "active"
billing = "free-tier-only"
token_quota = 1000
allowed_models = ["qwen-plus", "qwen-max"]

[accounts.team.limits]
requests_per_second = 1
requests_per_minute = 2
tokens_per_minute = 3
concurrency = 4
requests_per_day = 5
free_tokens = 6

[accounts.team.model_limits."qwen-max"]
requests_per_minute = 20

[keys.sk-mine]
account = "team"
expires_at = 2027-01-31T12:00:00+08:00
region = "ap-southeast-1"
workspace = "ws-1"
allowed_models = ["qwen-plus"]

[keys.sk-off]
state = "disabled"
"""


def test_all_settings() -> None:
    """Every setting arrives where it belongs; a model's own limits replace single ones."""
    configuration = parse_configuration(WHOLE, "test")
    account, key = configuration.accounts["team"], configuration.keys["sk-mine"]
    assert (configuration.region, account.billing, account.token_quota) == ("ap-southeast-1", "free-tier-only", 1000)
    assert account.limits_for("qwen-plus") == Limits(
        requests_per_second=1,
        requests_per_minute=2,
        tokens_per_minute=3,
        concurrency=4,
        requests_per_day=5,
        free_tokens=6,
    )
    assert account.limits_for("qwen-max").requests_per_minute == 20
    assert account.limits_for("qwen-max").requests_per_second == 1
    assert (key.expires_at, key.workspace, key.allowed_models) == (1801368000, "ws-1", ("qwen-plus",))
    assert configuration.keys["sk-off"].account == "default"


MISTAKES = [
    ("regoin = 'x'", "test.toml: unknown table or key 'regoin'; did you mean 'region'?"),
    ("region = 1", "test.toml: region must be a text, not 1"),
    ("[acounts.a]", "test.toml: unknown table or key 'acounts'; did you mean 'accounts'?"),
    ("accounts = 1", "test.toml: accounts must be a table of tables, such as [accounts.NAME]"),
    ("[accounts]\na = 1", "test.toml, table accounts.a: expected a table, found 1"),
    ("[accounts.a]\nstat = 'x'", "test.toml, table accounts.a: unknown key 'stat'; did you mean 'state'?"),
    (
        "[accounts.a]\nstate = 'froze'",
        "test.toml, table accounts.a: state must be one of active, frozen, arrears, not-purchased, "
        "prepaid-bill-overdue, postpaid-bill-overdue, not 'froze'",
    ),
    (
        "[accounts.a]\ntoken_quota = -1",
        "test.toml, table accounts.a: token_quota must be a whole number from 0, not -1",
    ),
    (
        "[accounts.a]\ntoken_quota = true",
        "test.toml, table accounts.a: token_quota must be a whole number from 0, not True",
    ),
    ("[accounts.a]\nlimits = 3", "test.toml, table accounts.a: limits must be a table, not 3"),
    (
        "[accounts.a.limits]\nrequest_per_minute = 3",
        "test.toml, table accounts.a, table limits: unknown key 'request_per_minute'; "
        "did you mean 'requests_per_minute'?",
    ),
    (
        "[accounts.a.limits]\nrequests_per_minute = '60'",
        "test.toml, table accounts.a, table limits: requests_per_minute must be a whole number from 0, not '60'",
    ),
    (
        "[accounts.a.model_limits.qwen-pluss]\nconcurrency = 1",
        "test.toml, table accounts.a: there is no model 'qwen-pluss'; did you mean 'qwen-plus'?",
    ),
    (
        "[accounts.a]\nallowed_models = 'qwen-plus'",
        "test.toml, table accounts.a: allowed_models must be an array of texts, not 'qwen-plus'",
    ),
    (
        "[accounts.a]\n[keys.sk-1]\naccount = 'b'",
        "test.toml, table keys.\"sk-1\": there is no account 'b'; there is a, default",
    ),
    (
        "[keys.sk-1]\nexpires_at = 2027-01-31",
        'test.toml, table keys."sk-1": expires_at must be a date and time with its zone, '
        "such as 2027-01-31T12:00:00Z, or unix seconds, not datetime.date(2027, 1, 31)",
    ),
    (
        "[keys.sk-1]\nexpires_at = 'soon'",
        'test.toml, table keys."sk-1": expires_at must be a date and time with its zone, '
        "such as 2027-01-31T12:00:00Z, or unix seconds, not 'soon'",
    ),
    (
        '[keys."sk 1"]',
        'test.toml, table keys."sk 1": a key is made of printable ASCII characters without spaces',
    ),
    ("[accounts.a", "test.toml: not TOML: "),
    ("[accounts.a]\n[accounts.a]", "test.toml: not TOML: "),
]


@pytest.mark.parametrize(("source", "message"), MISTAKES, ids=[source for source, _ in MISTAKES])
def test_mistakes(source: str, message: str) -> None:
    """File, table, key and the nearest name."""
    with pytest.raises(SettingError) as caught:
        parse_configuration(source, "test.toml")
    if message.endswith(": "):
        assert str(caught.value).startswith(message)
    else:
        assert str(caught.value) == message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """The path and the reason."""
    with pytest.raises(SettingError, match=r"none\.toml: cannot be read: No such file"):
        read_configuration(tmp_path / "none.toml")
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match=r"binary\.toml: cannot be read: .*utf-8"):
        read_configuration(path)


def status(emulator: Emulator, key: str) -> int:
    body = {"model": "qwen-plus", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{emulator.base_url}/chat/completions"
    return httpx.post(url, json=body, headers=headers, trust_env=False).status_code


def test_which_keys_are_let_in(tmp_path: Path) -> None:
    """The configuration's keys replace the usual one; a key that is given comes beside them."""
    path = tmp_path / "emulator.toml"
    path.write_text('[keys.sk-off]\nstate = "disabled"\n[keys.sk-mine]\n', encoding="utf-8")
    with Emulator(config_file=path) as emulator:
        assert emulator.api_key == "sk-mine"
        keys = ("sk-mine", "sk-off", "sk-qonduit-emulator")
        assert [status(emulator, key) for key in keys] == [200, 401, 401]
    with Emulator("sk-given", config_file=path) as emulator:
        assert emulator.api_key == "sk-given"
        assert [status(emulator, key) for key in ("sk-mine", "sk-given")] == [200, 200]
    path.write_text("[accounts.default]\ntoken_quota = 0", encoding="utf-8")
    with Emulator(config_file=path) as emulator:
        assert status(emulator, "sk-qonduit-emulator") == 429


def test_a_mistake_keeps_the_emulator_from_starting(tmp_path: Path) -> None:
    """Nothing is opened, and no thread is left."""
    path = tmp_path / "emulator.toml"
    path.write_text("[keys.sk-1]\nacount = 'x'", encoding="utf-8")
    emulator = Emulator(config_file=path, state_file=tmp_path / "state.db")
    with pytest.raises(SettingError, match="did you mean 'account'"):
        emulator.start()
    assert not (tmp_path / "state.db").exists()
    path.write_text("", encoding="utf-8")
    with emulator:
        assert status(emulator, emulator.api_key) == 200
