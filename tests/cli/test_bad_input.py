"""Bad input: one clear sentence with the mend on standard error, exit code 2, nothing sent."""

from __future__ import annotations

import pytest

from .conftest import CANARY, Command, Provider


def refused(command: Command, *arguments: str, text: str | bytes = "") -> str:
    """What standard error says of a command that is refused."""
    done = command.run(*arguments, text=text)
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2
    return done.stderr


@pytest.mark.parametrize(
    ("arguments", "hints"),
    [
        (["--profile", "locl"], ["locl", "'local'", "named.toml"]),
        (["--provider", "qwenn"], ["qwenn", "'qwen'"]),
        (["--modle", "x"], ["--modle", "--model"]),
        (["-o", "temprature=1"], ["temprature", "'temperature'", "extra_body"]),
        (["-o", "temperature=hot"], ["temperature", "a number"]),
        (["-o", "temperature"], ["temperature", "KEY=VALUE"]),
        (["-o", "stream=true"], ["stream", "--no-stream"]),
        (["-o", "seed=NaN"], ["seed", "whole number"]),
        (["--base-url", "localhost:80", "--api-key", "x", "-m", "m"], ["base_url", "https://"]),
        (["--config", "nowhere.toml"], ["nowhere.toml", "no such file"]),
    ],
)
def test_a_word_that_is_wrong(local: Command, provider: Provider, arguments: list[str], hints: list[str]) -> None:
    """Each wrong option names itself and the right one, and nothing is sent."""
    said = refused(local, "chat", "hi", *arguments)
    assert [hint for hint in hints if hint not in said] == []
    assert provider.bodies == []


def test_an_unknown_command(command: Command) -> None:
    """The nearest command is named."""
    assert "'chat'" in refused(command, "chta")


def test_an_unknown_plugin(command: Command, provider: Provider) -> None:
    """The nearest plugin is named."""
    command.configure(provider.profile('plugins = ["loging"]'), TEST_KEY=CANARY)
    assert "'logging'" in refused(command, "chat", "hi")


def test_an_unknown_key_of_the_file(command: Command, provider: Provider) -> None:
    """File, table, key and the nearest key are named."""
    command.configure(provider.profile("time_out = 3"), TEST_KEY=CANARY)
    said = refused(command, "chat", "hi")
    assert "named.toml" in said
    assert "profiles.local.time_out" in said
    assert "'timeout'" in said


def test_a_file_that_is_not_toml(command: Command) -> None:
    """The file and the line are named."""
    command.configure('default = "qwen\n')
    said = refused(command, "chat", "hi")
    assert "named.toml is not TOML" in said
    assert "line 1" in said


def test_an_unknown_variable(command: Command) -> None:
    """A misspelt QONDUIT_ variable is not passed over."""
    command.env["QONDUIT_REGON"] = "x"
    assert "'QONDUIT_REGION'" in refused(command, "chat", "hi")


def test_a_missing_key(command: Command) -> None:
    """The variable and the page where keys are made are named."""
    said = refused(command, "chat", "hi", "--provider", "qwen")
    assert "DASHSCOPE_API_KEY" in said
    assert "https://bailian.console.aliyun.com" in said


@pytest.mark.parametrize("key", [f"{CANARY}\nx", f"{CANARY}\u4f60", f"{CANARY} "])
def test_a_key_that_is_no_key(local: Command, provider: Provider, key: str) -> None:
    """A key with a line break, a space or other letters is refused by its place, and is not shown."""
    local.env["TEST_KEY"] = key
    assert "TEST_KEY" in refused(local, "chat", "hi")
    assert provider.bodies == []


@pytest.mark.parametrize(
    ("text", "hint"), [("", "empty"), ("\n", "empty"), (b"\xff\xfe", "UTF-8")], ids=["none", "blank", "bytes"]
)
def test_a_prompt_that_is_none(local: Command, text: str | bytes, hint: str) -> None:
    """Without a prompt, or with one that is no text, nothing is asked."""
    assert hint in refused(local, "chat", text=text)


def test_a_profile_without_a_model(command: Command, provider: Provider) -> None:
    """An address of the user's own has no default model."""
    command.env["TEST_KEY"] = CANARY
    said = refused(command, "chat", "hi", "--base-url", provider.base_url, "--api-key", "env:TEST_KEY")
    assert "--model" in said


def test_a_found_file_that_is_not_trusted(command: Command, provider: Provider) -> None:
    """A working folder's file with an address of its own is refused, with the command that trusts it."""
    (command.folder / "qonduit.toml").write_text(provider.profile())
    command.env["TEST_KEY"] = CANARY
    assert "qonduit trust" in refused(command, "chat", "hi")
    assert provider.keys == []


def test_a_fault_of_a_plugin_is_a_sentence(command: Command, provider: Provider) -> None:
    """An exception that nobody expected is one line, and says how to see its traceback."""
    packages = command.home / "packages"
    information = packages / "acme-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[qonduit.plugins]\nbroken = acme:Broken\n")
    (packages / "acme.py").write_text("class Broken:\n    def __init__(self):\n        raise KeyError('boom')\n")
    command.env["PYTHONPATH"] = str(packages)
    command.configure(provider.profile('plugins = ["broken"]'), TEST_KEY=CANARY)
    done = command.run("chat", "hi")
    assert "boom" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode in {1, 2}


@pytest.mark.F54
@pytest.mark.F60
@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (f'api_kee = "{CANARY}"', "api_kee: is not known"),
        (f'api_key = ["{CANARY}"]', "api_key: expected text"),
        (f'proxy = {{url = "http://me:{CANARY}@proxy.test"}}', "proxy: expected text"),
        (f'options = "{CANARY}"', "options: expected a mapping"),
        (f'plugins = ["logging"]\n[profiles.local.plugin.logging]\nredct = ["{CANARY}"]', "redct: is not known"),
        (f'plugins = ["logging"]\n[profiles.local.plugin.logging]\nredact = "{CANARY}"', "redact: expected a list"),
        (f'broken = "{CANARY}', "is not TOML"),
    ],
)
@pytest.mark.parametrize("arguments", [["chat", "hi"], ["doctor"]], ids=" ".join)
def test_a_mistake_beside_a_secret(
    command: Command, provider: Provider, arguments: list[str], line: str, hint: str
) -> None:
    """No command shows the value that it does not understand; `Command.run` looks for it."""
    profile = provider.profile(line).replace('api_key = "env:TEST_KEY"\n', "" if line.startswith("api_key") else "\n")
    command.configure(profile, DASHSCOPE_API_KEY=CANARY)
    done = command.run(*arguments)
    assert hint in done.stdout + done.stderr
    assert done.returncode != 0
