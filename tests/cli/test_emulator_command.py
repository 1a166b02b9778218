"""`qonduit emulator`."""

from __future__ import annotations

import re
import signal

from qonduit import Client

from .conftest import Command


def test_one_line_says_where_and_with_which_key(command: Command) -> None:
    """When it is ready one line holds a URL and a key that work; Ctrl-C ends it."""
    process = command.start("emulator", "--port", "0")
    assert process.stdout is not None
    line = process.stdout.readline()
    url, key = re.search(r"http://\S+", line), re.search(r"sk-\S+", line)
    assert url is not None
    assert key is not None
    with Client(base_url=f"{url[0]}/compatible-mode/v1", api_key=key[0], model="qwen-plus") as client:
        assert "hi" in client.chat.completions.create(messages=[{"role": "user", "content": "hi"}]).text
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("", "", 0)


def test_other_machines_are_kept_out(command: Command) -> None:
    """An address that others can reach needs --allow-remote."""
    done = command.run("emulator", "--host", "0.0.0.0", "--port", "0")
    assert done.stderr.startswith("error: --host 0.0.0.0 is not a loopback address")
    assert "--allow-remote" in done.stderr
    assert (done.stdout, done.returncode) == ("", 2)


def test_a_remote_emulator_has_a_key_of_its_own(command: Command) -> None:
    """The usual key is public; who opens the emulator to others gets another."""
    process = command.start("emulator", "--host", "0.0.0.0", "--port", "0", "--allow-remote")
    assert process.stdout is not None
    key = re.search(r"sk-\S+", process.stdout.readline())
    assert key is not None
    assert key[0] != "sk-qonduit-emulator"


def test_a_port_that_is_taken(command: Command) -> None:
    """The address and the mend are named."""
    process = command.start("emulator", "--port", "0")
    assert process.stdout is not None
    port = re.search(r":(\d+) ", process.stdout.readline())
    assert port is not None
    done = command.run("emulator", "--port", port[1])
    assert f"cannot listen on 127.0.0.1, port {port[1]}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1
