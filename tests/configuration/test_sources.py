"""Where settings come from, which of them wins, and what is wrong with a file or a variable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.configuration.conftest import Write

from qonduit import Client, ConfigurationError
from qonduit.configuration import user_file


def says(message: str, expected: str) -> bool:
    """Whether `message` has what is expected; "…" stands for what is between."""
    return all(part in message for part in expected.split(" … "))


def refused(*arguments: Any, **options: Any) -> str:
    """The message of a ConfigurationError."""
    with pytest.raises(ConfigurationError) as caught:
        Client(*arguments, **options)
    return str(caught.value)


def test_later_wins(write: Write, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is overridden by the environment, and the environment by arguments."""
    write("timeout = 11", "max_retries = 1", 'region = "us-east-1"')
    profile = Client("p").profile
    assert (profile.timeout, profile.max_retries, profile.region) == (11, 1, "us-east-1")
    monkeypatch.setenv("QONDUIT_TIMEOUT", "22")
    monkeypatch.setenv("QONDUIT_MAX_RETRIES", "2")
    monkeypatch.setenv("QONDUIT_TRUST_ENV", "false")
    profile = Client("p").profile
    assert (profile.timeout, profile.max_retries, profile.trust_env) == (22, 2, False)
    profile = Client("p", timeout=33, model="other").profile
    assert (profile.timeout, profile.max_retries, profile.model) == (33, 2, "other")


def test_one_line_swaps_the_provider(write: Write, key: str) -> None:
    """Only the provider's line differs: its address follows."""
    write()
    assert Client("p").profile.base_url == "https://dashscope.aliyuncs.com/compatible-mode/v1"
    write(provider="dashscope")
    assert Client("p").profile.base_url == "https://dashscope.aliyuncs.com/api/v1"


def test_the_environments_key_comes_before_dot_env(write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is looked up in the environment, then in `.env` of the working folder."""
    write()
    (folder / ".env").write_text("DASHSCOPE_API_KEY=sk-dotenv\n")
    from_file = Client("p").profile.key_id
    assert from_file == Client(provider="qwen", api_key="sk-dotenv").profile.key_id
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-environment")
    assert Client("p").profile.key_id == Client(provider="qwen", api_key="sk-environment").profile.key_id


def test_dot_env_never_sets_qonduit(write: Write, folder: Path, key: str) -> None:
    """A variable of qonduit's own in `.env` has no effect, known or not."""
    write()
    (folder / ".env").write_text("QONDUIT_TIMEOUT=1\nQONDUIT_BASE_URL=https://evil.example/v1\nQONDUIT_TYPO=1\n")
    profile = Client("p").profile
    assert (profile.timeout, profile.base_url) == (60, "https://dashscope.aliyuncs.com/compatible-mode/v1")


def test_the_default_profile(write: Write, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The profile is the one named, QONDUIT_PROFILE's, the file's default, or the only one."""
    path = write()
    assert Client().profile.name == "p"
    path.write_text(path.read_text() + '[profiles.q]\nprovider = "qwen"\n[profiles.r]\nprovider = "qwen"\n')
    assert "names no default" in refused()
    path.write_text('default = "q"\n' + path.read_text())
    assert Client().profile.name == "q"
    monkeypatch.setenv("QONDUIT_PROFILE", "r")
    assert Client().profile.name == "r"
    assert Client("p").profile.name == "p"


def test_which_file_is_read(write: Write, folder: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is the argument's, QONDUIT_CONFIG's, the working folder's, or the user's."""
    user_file().parent.mkdir(parents=True)
    user_file().write_text('[profiles.p]\nprovider = "qwen"\ntimeout = 1\n')
    assert Client("p").profile.timeout == 1
    write("timeout = 2")
    assert Client("p").profile.timeout == 2
    write("timeout = 3", name="variable.toml")
    monkeypatch.setenv("QONDUIT_CONFIG", "variable.toml")
    assert Client("p").profile.timeout == 3
    named = write("timeout = 4", name="named.toml")
    assert Client("p", config="named.toml").profile.timeout == 4
    assert Client("p", config=named).profile.timeout == 4


@pytest.mark.parametrize(
    "arguments", [{"provider": "qwen"}, {"api_key": "sk-x"}, {"provider": "qwen", "api_key": "sk-x"}]
)
def test_arguments_leave_the_file_unread(write: Write, key: str, arguments: dict[str, Any]) -> None:
    """With a provider, a base URL or a key given as arguments, and no profile, no file is read."""
    path = write()
    path.write_text("this is not TOML")
    made = Client(**arguments, base_url="https://dashscope.aliyuncs.com/compatible-mode/v1")
    assert made.profile.provider == "qwen"
    assert "unread" in refused(**arguments, config=path)


def test_environment_without_a_file(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """QONDUIT_PROVIDER and its like make a client without a file."""
    monkeypatch.setenv("QONDUIT_PROVIDER", "dashscope")
    monkeypatch.setenv("QONDUIT_MODEL", "qwen-max")
    profile = Client().profile
    assert (profile.provider, profile.model) == ("dashscope", "qwen-max")


def test_no_configuration_at_all() -> None:
    """A client without arguments, file or variables says what to do."""
    message = refused()
    assert "no qonduit.toml was found" in message
    assert "Client(provider=" in message


def test_a_profile_without_a_file() -> None:
    """A profile that is named where there is no file says where one was looked for."""
    message = refused("qwen")
    assert str(user_file().parent) in message
    assert "Client(provider='qwen')" in message


def test_an_unknown_profile(write: Write) -> None:
    """An unknown profile names the file and the nearest profile."""
    path = write()
    path.write_text(path.read_text().replace("profiles.p", "profiles.production"))
    assert says(refused("prodution"), f"{path}: there is no profile 'prodution' … did you mean 'production'?")


@pytest.mark.parametrize("by", ["argument", "variable"])
def test_a_file_that_is_not_there(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is named and missing is an error that says who named it."""
    if by == "variable":
        monkeypatch.setenv("QONDUIT_CONFIG", "missing.toml")
    message = refused("p", config="missing.toml" if by == "argument" else None)
    assert message.startswith("config " if by == "argument" else "QONDUIT_CONFIG ")
    assert "missing.toml, but there is no such file" in message


MISTAKES = [
    ("timout = 3", "profiles.p.timout: is not known … did you mean 'timeout'?"),
    ('timeout = "hot"', "profiles.p.timeout: expected a number"),
    ("timeout = 0", "profiles.p.timeout: expected more than 0"),
    ("timeout = inf", "profiles.p.timeout: expected a finite number"),
    ("max_retries = 6", "profiles.p.max_retries: expected at most 5"),
    ("max_retries = -1", "profiles.p.max_retries: expected at least 0"),
    ("max_retries = 1.5", "profiles.p.max_retries: expected a whole number"),
    ("breaker = true", "profiles.p.breaker: expected a number, not true or false"),
    ("timeout = true", "profiles.p.timeout: expected a number, not true or false"),
    ("breaker = 0", "profiles.p.breaker: expected at least 1"),
    ('http_library = "httptool"', "profiles.p.http_library: expected 'auto', 'httpx', 'httpx2' or 'httptools'"),
    ('unsupported = "warm"', "profiles.p.unsupported: expected 'warn', 'error' or 'drop'"),
    ('plugins = "cache"', "profiles.p.plugins: expected a list"),
    ("plugins = [1]", "profiles.p.plugins[0]: expected text"),
    ("plugin = 3", "profiles.p.plugin: expected a mapping"),
    ('trust_env = "maybe"', "profiles.p.trust_env: expected true or false"),
    ("base_url = 3", "profiles.p.base_url: expected text"),
    ("region = []", "profiles.p.region: expected text"),
    ("[profiles.q]", "profiles.q.provider: is missing"),
    ("[profile.q]", "profile: is not known … did you mean 'profiles'?"),
]


@pytest.mark.F60
@pytest.mark.parametrize(("line", "expected"), MISTAKES)
def test_a_mistake_in_the_file(write: Write, key: str, line: str, expected: str) -> None:
    """An unknown key or a wrong value names file, table, key, what was expected and the nearest key."""
    write(line)
    assert says(refused("p"), f"qonduit.toml: {expected}")


def test_every_mistake_is_named(write: Write) -> None:
    """All mistakes of a file are said at once."""
    write('timeout = "hot"', "modle = 3", '[profiles.q]\nprovider = 4\nregion = "x"')
    message = refused("p")
    for part in ("profiles.p.timeout: ", "profiles.p.modle: ", "profiles.q.provider: expected text"):
        assert part in message


@pytest.mark.parametrize("text", ["profiles = [", "= 3", "[profiles.p\n", "a = 1\na = 2"])
def test_a_file_that_is_not_toml(folder: Path, text: str) -> None:
    """A file that is not TOML names the file and the place."""
    (folder / "qonduit.toml").write_text(text)
    message = refused("p")
    assert "qonduit.toml is not TOML" in message
    assert "line" in message or "end of document" in message


def test_a_file_that_is_not_text(folder: Path) -> None:
    """A file that is not UTF-8 is named; a byte order mark is read over."""
    (folder / "qonduit.toml").write_bytes(b"\xff\xfe\x00")
    assert "qonduit.toml cannot be read: it is not UTF-8 text" in refused("p")
    (folder / "qonduit.toml").write_bytes(b'\xef\xbb\xbf[profiles.p]\nprovider = "qwen"\napi_key = "env:X"\n')
    assert "'env:X'" in refused("p")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "QONDUIT_TIMOUT",
            "3",
            "The environment variable QONDUIT_TIMOUT is not known … did you mean 'QONDUIT_TIMEOUT'?",
        ),
        ("QONDUIT_XYZ", "3", "The environment variable QONDUIT_XYZ is not known"),
        ("QONDUIT_TIMEOUT", "hot", "timeout: expected a number (variable QONDUIT_TIMEOUT)"),
        (
            "QONDUIT_MAX_RETRIES",
            "9",
            "max_retries: expected at most 5 (variable QONDUIT_MAX_RETRIES)",
        ),
        ("QONDUIT_PROVIDER", "qwem", "Provider 'qwem' is not known … did you mean 'qwen'?"),
        ("QONDUIT_REGION", "mars", "region: 'mars' is no region of provider 'qwen'"),
        ("QONDUIT_BASE_URL", "nowhere", "base_url (variable QONDUIT_BASE_URL): 'nowhere' is no URL"),
        ("QONDUIT_PROFILE", "q", "there is no profile 'q'"),
    ],
)
def test_a_wrong_variable(
    write: Write, key: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    """A wrong variable is named with its value's setting and what was expected."""
    write()
    monkeypatch.setenv(name, value)
    assert says(refused(), expected)


def test_an_unknown_variable_is_refused_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown QONDUIT_ variable is an error for a client of arguments as well."""
    monkeypatch.setenv("QONDUIT_TIMOUT", "3")
    assert "QONDUIT_TIMOUT is not known" in refused(provider="qwen", api_key="sk-x")


@pytest.mark.F54
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"timeout": "hot"}, "timeout: expected a number (argument)"),
        ({"timeout": 0}, "timeout: expected more than 0 (argument)"),
        ({"max_retries": 6}, "max_retries: expected at most 5 (argument)"),
        ({"deadline": -1}, "deadline: expected more than 0 (argument)"),
        ({"model": 3}, "model: expected text (argument)"),
        ({"region": "cn-bejing"}, "region: 'cn-bejing' is no region of provider 'qwen' … did you mean 'cn-beijing'?"),
        ({"base_url": "dashscope.aliyuncs.com/v1"}, "is no URL with a scheme and a host; expected https://HOST/PATH"),
        ({"base_url": "https://"}, "is no URL with a scheme and a host"),
        ({"base_url": "ftp://x/v1"}, "is no URL with a scheme and a host"),
        ({"base_url": "https://api..test/v1"}, "is no URL with a scheme and a host"),
        ({"base_url": f"https://{'a' * 64}.test/v1"}, "is no URL with a scheme and a host"),
        ({"base_url": "https://x.aliyuncs.com/v1\n"}, "holds a space, a line break or a character outside ASCII"),
        ({"base_url": "https://x.aliyuncs.com/v 1"}, "holds a space, a line break or a character outside ASCII"),
        ({"base_url": "https://x.aliyuncs.com/路"}, "holds a space, a line break or a character outside ASCII"),
        ({"base_url": "https://例.example/v1"}, "holds a space, a line break or a character outside ASCII"),
        ({"base_url": "https://x.aliyuncs.com:99999/v1"}, "is no URL with a scheme and a host"),
        ({"base_url": ""}, "is no URL with a scheme and a host"),
        ({"base_url": "https://user:secret@x.aliyuncs.com/v1"}, "must hold neither user, password, query nor fragment"),
        ({"base_url": "https://x.aliyuncs.com/v1?key=secret"}, "must hold neither user, password, query nor fragment"),
        ({"base_url": "https://x.aliyuncs.com:port/v1"}, "is no URL with a scheme and a host"),
        ({"base_url": "https://[::1/v1"}, "is no URL with a scheme and a host"),
        ({"base_url": "user:secret@x.aliyuncs.com/v1"}, "is no URL with a scheme and a host"),
        ({"api_key": 3}, "api_key: expected text or a function"),
        ({"workspace": "evil.example/"}, "workspace: expected a workspace's id"),
        ({"workspace": "evil.example/@", "provider": "auto"}, "workspace: expected a workspace's id"),
        ({"workspace": "a.b", "provider": "dashscope"}, "workspace: expected a workspace's id"),
    ],
)  # fmt: skip
def test_a_wrong_argument(options: dict[str, Any], expected: str) -> None:
    """A wrong argument is named with what was expected; a secret in a URL is not shown."""
    message = refused(**{"provider": "qwen", "api_key": "sk-x", **options})
    assert says(message, expected)
    assert "secret" not in message


@pytest.mark.parametrize(
    ("options", "base_url"),
    [
        ({"provider": "qwen"}, "https://dashscope.aliyuncs.com/compatible-mode/v1"),
        ({"provider": "qwen", "region": "ap-southeast-1"}, "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
        ({"provider": "dashscope", "region": "us-east-1"}, "https://dashscope-us.aliyuncs.com/api/v1"),
        (
            {"provider": "qwen", "workspace": "ws-1", "region": "ap-southeast-1"},
            "https://ws-1.ap-southeast-1.maas.aliyuncs.com/compatible-mode/v1",
        ),
        (
            {"provider": "qwen", "workspace": "ws-1", "region": "finance"},
            "https://dashscope-finance.aliyuncs.com/compatible-mode/v1",
        ),
        ({"provider": "openai"}, "https://api.openai.com/v1"),
        ({"provider": "openai", "base_url": "http://127.0.0.1:1/v1/"}, "http://127.0.0.1:1/v1"),
        ({}, "https://api.openai.com/v1"),
    ],
)
def test_addresses(options: dict[str, Any], base_url: str) -> None:
    """The address follows from provider, region and workspace, or is the one given, without a last slash."""
    assert Client(api_key="sk-x", **options).profile.base_url == base_url


@pytest.mark.parametrize(
    ("base_url", "provider"),
    [
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "qwen"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1/", "qwen"),
        ("http://127.0.0.1:8765/compatible-mode/v1", "qwen"),
        ("https://gateway.example/compatible-mode/v1", "qwen"),
        ("https://dashscope.aliyuncs.com/api/v1", "dashscope"),
        ("https://ws-1.cn-beijing.maas.aliyuncs.com/api/v1", "dashscope"),
        ("https://aliyuncs.com.evil.example/api/v1", "openai"),
        ("https://evil-aliyuncs.com/api/v1", "openai"),
        ("http://127.0.0.1:8765/api/v1", "openai"),
        ("https://api.openai.com/v1", "openai"),
        ("http://localhost:11434/v1", "openai"),
        ("https://dashscope.aliyuncs.com/v1", "openai"),
    ],
)
def test_the_provider_is_read_off_the_base_url(base_url: str, provider: str) -> None:
    """Without a provider the base URL tells it."""
    assert Client(api_key="sk-x", base_url=base_url).profile.provider == provider


@pytest.mark.parametrize("path", ["/compatible-mode/v1", "/api/v1"])
def test_the_web_sites_host(path: str) -> None:
    """A base URL on the web site's host warns with the host on which the API answers."""
    provider = "qwen" if "compatible" in path else "dashscope"
    with pytest.warns(UserWarning, match=r"dashscope\.aliyun\.com.*the API answers on dashscope\.aliyuncs\.com"):
        Client(provider=provider, api_key="sk-x", base_url=f"https://dashscope.aliyun.com{path}")


def test_idle_options(write: Write, key: str) -> None:
    """A table of options for a plugin that the profile does not name is an error."""
    write('plugins = ["cost"]', "[profiles.p.plugin.cache]", "ttl = 3")
    assert "profiles.p.plugin.cache: has options, but 'cache' is not in the profile's plugins" in refused("p")


def test_plugin_options_of_a_profile(write: Write, key: str) -> None:
    """A wrong option names file, table, key and the nearest key."""
    path = write('plugins = ["cache"]', "[profiles.p.plugin.cache]", "tll = 3")
    assert says(refused("p"), f"{path}: profiles.p.plugin.cache: tll: is not known … did you mean 'ttl'?")


def test_a_providers_options_of_a_profile(write: Write, key: str) -> None:
    """A wrong option names file, table, key and the nearest key; a provider without options takes none."""
    path = write("[profiles.p.options]", "wait_timout = 3")
    assert says(refused("p"), f"{path}: profiles.p.options: wait_timout: is not known … did you mean 'wait_timeout'?")
    write('api_key = "sk-test"', "[profiles.p.options]", "a = 3", provider="openai")
    assert "provider 'openai' takes no options, but has: a" in refused("p")


def test_models_of_the_file_and_of_the_argument_go_over_the_providers_table(write: Write, key: str) -> None:
    """`[models."NAME"]` changes the columns that it names, for every profile; `models=` goes over it."""
    path = write("[models.qwen-plus]", "max_output = 7", 'path = "multimodal"', '[models."mine"]', "max_batch = 3")
    models = Client("p", models={"qwen-plus": {"max_output": 8}}).profile.models
    plus = models.get("qwen-plus")
    assert (plus.max_output, plus.path, plus.tools) == (8, "multimodal", True)
    assert (models.get("mine").max_batch, models.get("mine").known) == (3, True)
    path.write_text(path.read_text() + "max_bach = 1\n")
    assert says(refused("p"), "models.\"mine\".max_bach: is not known … did you mean 'max_batch'?")


def test_plugins_as_argument_take_the_profiles_place(write: Write, key: str) -> None:
    """`plugins=` is in place of the profile's list; its table of options still serves."""
    write('plugins = ["cache", "cost"]', "[profiles.p.plugin.cache]", "ttl = 3")
    assert Client("p").profile.plugins == ("cache", "cost")
    assert Client("p", plugins=["logging"]).profile.plugins == ("logging",)
    assert Client("p", plugins=[]).profile.plugins == ()


def test_a_vendors_host_without_a_path_is_no_other_providers() -> None:
    """Which of the vendor's APIs is meant cannot be told; to take it for OpenAI's wire would give a bare 404."""
    text = refused(base_url="https://dashscope.aliyuncs.com", api_key="sk-test")
    assert "has no path" in text
    assert "provider=" in text
    assert Client(base_url="https://dashscope.aliyuncs.com/other/v1", api_key="sk-test").profile.provider == "openai"
