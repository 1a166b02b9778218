"""A file that nobody named may not choose which files are written to."""

from __future__ import annotations

from pathlib import Path

import pytest

from qonduit import Client, ConfigurationError


@pytest.mark.parametrize(
    ("plugin", "options", "said"),
    [
        ("logging", 'file = "calls.jsonl"', "plugin.logging.file"),
        ("logging", 'redact = ["a customer"]', None),
        ("logging", 'level = "DEBUG"', None),
        ("cost", 'ledger = "ledger.sqlite3"', "plugin.cost.ledger"),
    ],
)
def test_a_downloaded_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugin: str, options: str, said: str | None
) -> None:
    """It is refused until it is trusted, when it names a file to write or a secret to read; the rest is its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-test")
    profile = f'[profiles.p]\nprovider = "qwen"\nmodel = "m"\nplugins = ["{plugin}"]\n'
    (tmp_path / "qonduit.toml").write_text(f"{profile}[profiles.p.plugin.{plugin}]\n{options}\n")
    if said is None:
        Client("p").close()
        return
    with pytest.raises(ConfigurationError, match=said):
        Client("p")
