"""`qonduit profiles`, `qonduit plugins`, `qonduit trust`."""

from __future__ import annotations

import pytest

from .conftest import CANARY, Command, Provider

TWO = """
default = "b"

[profiles.a]
provider = "qwen"
model = "qwen-plus"
region = "ap-southeast-1"

[profiles.b]
provider = "openai"
base_url = "https://models.example/a/rather/long/path/that/no/table/may/cut/off/v1"
plugins = ["logging", "cost"]
"""


def test_profiles_are_listed(command: Command) -> None:
    """Name, provider, model, address and plugins of each, the default marked, and where the file is."""
    path = command.configure(TWO)
    lines = command.run("profiles").stdout.splitlines()
    assert lines[0].split() == ["NAME", "PROVIDER", "MODEL", "ADDRESS", "PLUGINS"]
    assert lines[1].split() == ["a", "qwen", "qwen-plus", "ap-southeast-1", "-"]
    assert lines[2].split()[:3] == ["*", "b", "openai"]
    assert "https://models.example/a/rather/long/path/that/no/table/may/cut/off/v1" in lines[2]
    assert lines[2].endswith("logging, cost")
    assert str(path) in lines[3]


def test_no_profiles(command: Command) -> None:
    """Without a file it says where one was looked for."""
    done = command.run("profiles")
    assert done.stdout == ""
    assert "qonduit.toml" in done.stderr
    assert done.returncode == 0


def test_plugins_are_listed_and_not_imported(command: Command) -> None:
    """Every distribution's entry points are listed, which are active is marked, and none is imported."""
    packages = command.home / "packages"
    information = packages / "acme_tools-2.5.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-tools\nVersion: 2.5\n")
    (information / "entry_points.txt").write_text("[qonduit.plugins]\nacme = acme_tools:Nowhere\n")
    (packages / "acme_tools.py").write_text("raise SystemExit('imported')\n")
    command.env["PYTHONPATH"] = str(packages)
    command.configure(TWO)
    done = command.run("plugins")
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert rows["acme"] == ["plugin", "acme-tools", "2.5", "-"]
    assert rows["openai"][:2] == ["provider", "qonduit"]
    assert [name for name, row in rows.items() if row[-1] == "active"] == ["openai", "cost", "logging"]
    assert done.returncode == 0


def test_a_plugin_that_is_not_installed_is_named(command: Command) -> None:
    """A profile that names what is not there is warned of."""
    command.configure(TWO.replace('"cost"', '"acme"'))
    assert "'acme', which is not installed" in command.run("plugins").stderr


@pytest.mark.parametrize("argument", [[], ["."], ["qonduit.toml"]])
def test_trust_remembers_a_file(command: Command, provider: Provider, argument: list[str]) -> None:
    """Trusted, the file may name its own address; what it asks for is said first."""
    file = command.folder / "qonduit.toml"
    file.write_text(provider.profile())
    command.env["TEST_KEY"] = CANARY
    done = command.run("trust", *argument)
    assert "base_url" in done.stdout
    assert str(file.resolve()) in done.stdout
    assert command.run("chat", "hi").stdout == "Hello\n"


def test_trust_that_cannot_be_remembered(command: Command, provider: Provider) -> None:
    """A home that cannot be written to: the place is named, and what to do without."""
    (command.folder / "qonduit.toml").write_text(provider.profile())
    command.env["XDG_DATA_HOME"] = "/dev/null/data"
    done = command.run("trust")
    assert "trusted.json, where this is remembered, cannot be written: Not a directory." in done.stderr
    assert "--config" in done.stderr
    assert done.returncode == 2


def test_trust_needs_a_file(command: Command) -> None:
    """Without a file there is nothing to trust."""
    done = command.run("trust")
    assert done.stderr.startswith("error: There is no file")
    assert done.returncode == 2
