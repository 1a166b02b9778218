"""A file that nobody named may not choose where answers are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from qonduit import Client, ConfigurationError


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ('store = "redis"\nurl = "redis://stranger.example"', "plugin.cache.url"),
        ('store = "sqlite"\npath = "/tmp/x"', "plugin.cache.path"),
        ('secret = "file:/etc/hostname"', "plugin.cache.secret"),
        ("ttl = 5", None),
    ],
)
def test_a_downloaded_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, said: str | None
) -> None:
    """It is refused until it is trusted, when it names a server, a file or a secret; other options are its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-test")
    text = f'[profiles.p]\nprovider = "qwen"\nmodel = "m"\nplugins = ["cache"]\n[profiles.p.plugin.cache]\n{options}\n'
    (tmp_path / "qonduit.toml").write_text(text)
    if said is None:
        Client("p").close()
        return
    with pytest.raises(ConfigurationError, match=said):
        Client("p")
