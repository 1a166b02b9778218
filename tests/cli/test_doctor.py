"""`qonduit doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket

import pytest

from qonduit_emulator import Emulator

from .conftest import CANARY, Command, Handler, Provider


@contextmanager
def free_port() -> Iterator[int]:
    """A port that is bound, and that nobody listens at."""
    with socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_all_is_well(local: Command, provider: Provider) -> None:
    """File, origins, key's place, endpoint, retries and versions are shown; the exit code is 0."""
    local.env["QONDUIT_TIMEOUT"] = "7"
    done = local.run("doctor")
    report = done.stdout
    for hint in (
        "Python 3.",
        "httpx 0.",
        "pydantic 2.",
        "named.toml [profiles.local])",
        "7.0 (variable QONDUIT_TIMEOUT)",
        "the variable TEST_KEY",
        "stamina is active",
        "takes the key",
        " ms ",
        "http            direct connections by httptools 0.",
        "All is well.",
    ):
        assert hint in report
    assert (done.stderr, done.returncode) == ("", 0)
    assert provider.keys == [f"Bearer {CANARY}"]


def test_a_host_that_switched_retries_off(local: Command) -> None:
    """Where something in the process has switched stamina off, there are no retries: that is a problem, and said."""
    done = local.python(
        "import stamina, sys; stamina.set_active(False); from qonduit_cli import main; sys.exit(main(['doctor']))"
    )
    assert "PROBLEM         stamina is switched off in this process: nothing is retried." in done.stdout
    assert done.returncode == 1


def test_a_newcomer_has_no_key(command: Command) -> None:
    """Without configuration and key the mend is named, and the exit code is 1."""
    done = command.run("doctor")
    assert "PROBLEM" in done.stdout
    assert "DASHSCOPE_API_KEY" in done.stdout
    assert done.returncode == 1


def test_a_missing_key_does_not_hide_the_rest(command: Command) -> None:
    """The settings and their origins are shown although the key is missing."""
    command.configure('[profiles.a]\nprovider = "qwen"\nregion = "us-east-1"\n')
    command.env["HTTPS_PROXY"] = f"http://user:{CANARY}@127.0.0.1:9"
    done = command.run("doctor")
    assert "No API key was found for profile 'a'" in done.stdout
    assert "us-east-1" in done.stdout
    assert "https http://127.0.0.1:9" in done.stdout
    assert "dashscope-us.aliyuncs.com cannot be reached through the proxy 127.0.0.1:9: " in done.stdout
    assert CANARY not in done.stdout
    assert done.returncode == 1


def test_a_refused_key_is_a_problem(local: Command, provider: Provider, monkeypatch) -> None:
    """A 401 names the host and the mend."""
    monkeypatch.setattr(Handler, "do_GET", lambda handler: handler.reply(b"{}", 401))
    done = local.run("doctor")
    assert "refuses the key (HTTP 401)" in done.stdout
    assert done.returncode == 1


def test_an_address_without_a_list_of_models_answers(local: Command, monkeypatch) -> None:
    """A 404 is an answer: the endpoint is there."""
    monkeypatch.setattr(Handler, "do_GET", lambda handler: handler.reply(b"{}", 404))
    done = local.run("doctor")
    assert "HTTP 404" in done.stdout
    assert done.returncode == 0


def test_an_address_where_nobody_listens(command: Command) -> None:
    """A refused connection is a problem, not a traceback."""
    with free_port() as port:
        command.configure(
            f'[profiles.a]\nprovider = "openai"\nbase_url = "http://127.0.0.1:{port}/v1"\napi_key = "env:TEST_KEY"\n',
            TEST_KEY=CANARY,
        )
        done = command.run("doctor")
    assert f"127.0.0.1:{port} cannot be reached" in done.stdout
    assert done.returncode == 1


def test_a_wrong_configuration_is_a_problem(command: Command) -> None:
    """What stops a client is reported with its mend."""
    command.configure('[profiles.a]\nprovider = "qwenn"\n')
    done = command.run("doctor")
    assert "PROBLEM" in done.stdout
    assert "'qwen'" in done.stdout
    assert done.returncode == 1


def test_a_file_that_is_not_toml_is_a_problem(command: Command) -> None:
    """Even then the versions are shown."""
    command.configure("=")
    done = command.run("doctor")
    assert "is not TOML" in done.stdout
    assert "Python 3." in done.stdout
    assert done.returncode == 1


def test_a_choice_between_ways(command: Command) -> None:
    """Of the provider `auto` both ways are shown, in their order, and what only the second can say."""
    with Emulator(api_key=CANARY) as emulator:
        command.configure(
            f'[profiles.a]\nprovider = "auto"\nbase_url = "{emulator.url}"\nmodel = "qwen-plus"\n'
            'api_key = "env:TEST_KEY"\n',
            TEST_KEY=CANARY,
        )
        done = command.run("doctor")
        url = emulator.url
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    shown = {line for line in lines if line.startswith(("provider", "route"))}
    assert shown == {
        f"provider auto ({command.folder / 'named.toml'} [profiles.a])",
        f"route 1 qwen at {url}/compatible-mode/v1 serves the requests that it can express in full",
        f"route 2 dashscope at {url}/api/v1 serves what qwen cannot express: search_results",
    }
    assert (done.stderr, done.returncode) == ("", 0)


def test_one_way_is_no_choice(local: Command) -> None:
    """A provider that is no choice has no routes to show."""
    assert "route" not in local.run("doctor").stdout


def test_fallbacks_are_shown_and_tried(command: Command, provider: Provider) -> None:
    """Each with its place and its key's, and its endpoint is asked too: one that is down is a problem of today."""
    with free_port() as port:
        command.configure(
            provider.profile('fallback = ["spare"]\n')
            + f'[profiles.spare]\nprovider = "openai"\nmodel = "tiny"\nbase_url = "http://127.0.0.1:{port}/v1"\n'
            'api_key = "env:SPARE_KEY"\n',
            TEST_KEY=CANARY,
            SPARE_KEY=f"{CANARY}-spare",
        )
        done = command.run("doctor")
    assert f"fallback 1    'spare': openai at http://127.0.0.1:{port}/v1, model tiny, key from" in done.stdout
    assert f"127.0.0.1:{port} cannot be reached" in done.stdout
    assert "takes the key" in done.stdout
    assert CANARY not in done.stdout
    assert done.returncode == 1
    assert provider.keys == [f"Bearer {CANARY}"]


def test_a_fallback_without_a_key_does_not_hide_the_profile(command: Command, provider: Provider) -> None:
    """It is said whose fallback it is, and the profile itself is shown and tried."""
    command.configure(
        provider.profile('fallback = ["spare"]\n') + '[profiles.spare]\nprovider = "openai"\nmodel = "tiny"\n',
        TEST_KEY=CANARY,
    )
    done = command.run("doctor")
    assert "PROBLEM         No API key was found for profile 'spare'" in done.stdout
    assert "'spare' is a fallback of profile 'local'." in done.stdout
    assert "takes the key" in done.stdout
    assert "To mend: 1." in done.stdout
    assert provider.keys == [f"Bearer {CANARY}"]


def test_a_proxy_that_cannot_be_used(command: Command) -> None:
    """As a call would say it, and without the password."""
    command.configure('[profiles.a]\nprovider = "qwen"\n', DASHSCOPE_API_KEY="sk-test")
    command.env["ALL_PROXY"] = f"gopher://user:{CANARY}@127.0.0.1:70"
    done = command.run("doctor")
    assert "The proxy cannot be used (gopher://…). Expected http://host:port" in done.stdout
    assert CANARY not in done.stdout


WITHOUT = {
    "missing": "import sys; sys.modules['httptools'] = None",
    "too old": "import httptools; httptools.__version__ = '0.8.0'",
}
RUN_DOCTOR = "; import sys; from qonduit_cli import main; sys.exit(main(['doctor']))"


@pytest.mark.parametrize("without", WITHOUT.values(), ids=list(WITHOUT))
def test_how_to_have_a_faster_library(local: Command, without: str) -> None:
    """Where httptools cannot serve by default that is no problem; it is said what does, and how to have the other."""
    done = local.python(without + RUN_DOCTOR)
    assert "http            direct connections by httpcore 1." in done.stdout
    assert 'half the CPU time: pip install "qonduit[httptools]"' in done.stdout
    assert "All is well." in done.stdout


@pytest.mark.parametrize(("name", "found"), [("httpx", "httpcore 1."), ("httpx2", "httpcore2 2.")])
def test_a_library_that_was_asked_for(local: Command, name: str, found: str) -> None:
    """It is shown, and nothing else is recommended."""
    local.env["QONDUIT_HTTP_LIBRARY"] = name
    done = local.run("doctor")
    assert f"http            direct connections by {found}" in done.stdout
    assert "qonduit[httptools]" not in done.stdout
    assert done.returncode == 0


def test_a_library_that_is_not_installed(local: Command) -> None:
    """It would stop the first call, so it is a problem of the set-up."""
    local.env["QONDUIT_HTTP_LIBRARY"] = "httptools"
    done = local.python(WITHOUT["missing"] + RUN_DOCTOR)
    assert 'PROBLEM         http_library = "httptools", but httptools is not installed: pip install' in done.stdout
    assert done.returncode == 1


def test_chat_says_which_profile_served(command: Command, provider: Provider) -> None:
    """An answer of a fallback comes with a warning on standard error."""
    with free_port() as port:
        command.configure(
            f'default = "main"\n[profiles.main]\nprovider = "qwen"\nmodel = "qwen-plus"\nmax_retries = 0\n'
            f'base_url = "http://127.0.0.1:{port}/v1"\napi_key = "env:TEST_KEY"\nfallback = ["local"]\n'
            + provider.profile().partition("\n")[2],
            TEST_KEY=CANARY,
        )
        done = command.run("chat", "hi")
    assert "Hello" in done.stdout
    assert "Profile 'main' failed: APIConnectionError. Profile 'local' (provider 'openai') answered." in done.stderr
    assert done.returncode == 0
