"""`qonduit chat`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qonduit_emulator import Emulator

from .conftest import CANARY, Command, Handler, Provider, cut, hello, stall

EMULATOR_NOTE = "note: no configuration and no API key, so the built-in emulator answers."


def test_a_newcomer_is_answered_by_the_emulator(command: Command) -> None:
    """Without configuration and key the emulator answers, and one line on standard error says so."""
    done = command.run("chat", "你好")
    assert "你好" in done.stdout
    assert done.stdout.endswith("\n")
    assert done.stderr.startswith(EMULATOR_NOTE)
    assert "DASHSCOPE_API_KEY" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 0


def test_the_emulator_is_reached_past_a_proxy(command: Command) -> None:
    """A proxy of the environment does not stand before the embedded emulator."""
    command.env |= {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    done = command.run("chat", "hi")
    assert "hi" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("form", ["--stream", "--no-stream"])
def test_the_pages_of_a_search_are_listed(command: Command, dashscope_emulator: Emulator, form: str) -> None:
    """Where the wire brings them, standard error has their numbers, titles and addresses; the text alone is printed."""
    command.env["DASHSCOPE_API_KEY"] = dashscope_emulator.api_key
    options = ["--provider", "auto", "--base-url", dashscope_emulator.url, "--api-key", "env:DASHSCOPE_API_KEY"]
    found = '{"enable_source": true}'
    done = command.run("chat", "hi", form, "--model", "qwen-plus", *options, "-o", f"search={found}")
    assert [line.partition(":")[0] for line in done.stderr.splitlines() if line.startswith("[")] == [
        "[1]",
        "[2]",
        "[3]",
    ]
    assert "https://www.example.com/" in done.stderr
    assert "https://www.example.com/" not in done.stdout


def test_without_the_emulator_it_says_what_to_install(command: Command) -> None:
    """A newcomer without the extra reads which one to install."""
    missing = "import sys; sys.modules['uvicorn'] = None\n"
    done = command.python(f"{missing}from qonduit_cli import main; sys.exit(main(['chat', 'hi']))")
    assert 'pip install "qonduit[emulator]"' in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2


def test_an_answer_is_streamed(local: Command, provider: Provider) -> None:
    """By default the request is streamed and the text ends with one newline; reasoning stays hidden."""
    done = local.run("chat", "hi")
    assert (done.stdout, done.stderr, done.returncode) == ("Hello\n", "", 0)
    assert provider.bodies[0]["stream"] is True
    assert provider.keys == [f"Bearer {CANARY}"]


def test_an_answer_comes_whole(local: Command, provider: Provider) -> None:
    """--no-stream asks for a plain answer and prints the same."""
    done = local.run("chat", "hi", "--no-stream")
    assert (done.stdout, done.stderr, done.returncode) == ("Hello\n", "", 0)
    assert not provider.bodies[0].get("stream")


@pytest.mark.parametrize("form", ["--stream", "--no-stream"])
def test_reasoning_goes_to_standard_error(local: Command, form: str) -> None:
    """--reasoning shows the model's thinking beside the answer, not in it."""
    done = local.run("chat", "hi", "--reasoning", form)
    assert (done.stdout, done.stderr) == ("Hello\n", "Hm.\n")


def test_json_is_the_response(local: Command) -> None:
    """--json prints the whole ChatResponse but for the provider's raw bytes."""
    done = local.run("chat", "hi", "--json")
    answer = json.loads(done.stdout)
    assert answer["choices"][0]["message"]["content"] == "Hello"
    assert answer["usage"]["input_tokens"] == 1
    assert answer["provider"] == "openai"
    assert "raw" not in answer
    assert "raw" not in answer["usage"]


def test_options_become_parameters(local: Command, provider: Provider) -> None:
    """-o takes JSON or text; --system and --model have their own place."""
    options = ["-o", "temperature=0.2", "-o", 'stop=["a"]', "-o", "user=ann"]
    done = local.run("chat", "hi", "--system", "Be brief.", "--model", "large", *options)
    body = provider.bodies[0]
    assert done.returncode == 0
    assert (body["temperature"], body["stop"], body["user"]) == (0.2, ["a"], "ann")
    assert body["model"] == "large"
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_the_prompt_may_come_by_a_pipe(local: Command, provider: Provider, arguments: list[str]) -> None:
    """Standard input is the prompt, without its last newline."""
    local.run("chat", *arguments, text="one\ntwo\n")
    assert provider.bodies[0]["messages"] == [{"role": "user", "content": "one\ntwo"}]


def test_a_base_url_and_a_reference_need_no_configuration(command: Command, provider: Provider) -> None:
    """--base-url with --api-key env:NAME reads the key from the environment, or from `.env`."""
    (command.folder / ".env").write_text(f"MY_KEY={CANARY}\n")
    options = ["--base-url", provider.base_url, "--api-key", "env:MY_KEY", "-m", "small"]
    assert command.run("chat", "hi", *options).stdout == "Hello\n"
    assert provider.keys == [f"Bearer {CANARY}"]


def test_several_choices_are_told_apart(local: Command, provider: Provider) -> None:
    """With n above 1 nothing is streamed, and each choice has its number."""

    def two(handler: Handler) -> None:
        choices = [
            {"index": i, "message": {"role": "assistant", "content": t}, "finish_reason": "stop"}
            for i, t in enumerate(["A", "B"])
        ]
        handler.reply(json.dumps({"id": "1", "model": "small", "choices": choices}).encode())

    provider.answer = two
    assert local.run("chat", "hi", "-o", "n=2").stdout == "[0] A\n[1] B\n"


def test_tool_calls_are_shown(local: Command, provider: Provider) -> None:
    """An answer that only calls a tool is a line with the call."""

    def call(handler: Handler) -> None:
        handler.begin_stream()
        function = {"name": "weather", "arguments": '{"city": "Bonn"}'}
        handler.event({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": function}]})
        handler.event({}, "tool_calls")
        handler.wfile.write(b"data: [DONE]\n\n")

    provider.answer = call
    assert local.run("chat", "hi").stdout == 'weather({"city": "Bonn"})\n'


def test_an_answer_that_was_cut_off_says_so(local: Command, provider: Provider) -> None:
    """The finish reason "length" is a warning on standard error."""

    def short(handler: Handler) -> None:
        handler.begin_stream()
        handler.event({"content": "Onc"})
        handler.event({}, "length")
        handler.wfile.write(b"data: [DONE]\n\n")

    provider.answer = short
    done = local.run("chat", "hi")
    assert done.stdout == "Onc\n"
    assert "max_tokens" in done.stderr


def test_a_broken_stream_keeps_what_arrived(local: Command, provider: Provider) -> None:
    """What came before the failure stays printed; one sentence follows, and exit code 1."""
    provider.answer = cut
    done = local.run("chat", "hi")
    assert done.stdout == "Once\n"
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1


@pytest.mark.F66
def test_an_error_of_the_provider_is_a_sentence(local: Command, provider: Provider) -> None:
    """A 401 is one line on standard error, exit code 1; control characters do not reach the terminal."""
    body = {"error": {"message": "No\x1b[31m such\nkey", "code": "invalid_api_key"}}
    provider.answer = lambda handler: handler.reply(json.dumps(body).encode(), 401)
    done = local.run("chat", "hi")
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
    assert done.returncode == 1


@pytest.mark.F66
@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_model_commands_no_terminal(local: Command, provider: Provider) -> None:
    """What a terminal would obey is a question mark there; a pipe, and so a file, gets the answer as it is."""
    import pty

    evil = "a\x1b[31mb\x9b2J\u202ec\rd\n\te👩\u200d💻"

    def say_it(handler: Handler) -> None:
        handler.begin_stream()
        handler.event({"role": "assistant", "content": evil})
        handler.event({}, "stop")
        handler.wfile.write(b"data: [DONE]\n\n")

    provider.answer = say_it
    assert local.run("chat", "hi").stdout == f"{evil}\n"
    terminal, inner = pty.openpty()
    process = local.start("chat", "hi", stdout=inner)
    os.close(inner)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a pseudo-terminal on Linux
        while data := os.read(terminal, 4096):
            shown += data
    os.close(terminal)
    assert process.wait(30) == 0
    assert shown.decode().replace("\r\n", "\n") == "a?[31mb?2J?c?d\n\te👩\u200d💻\n"


def test_a_retry_is_silent(command: Command, provider: Provider) -> None:
    """A failure that a retry mends leaves no word on standard error."""

    def busy_once(handler: Handler) -> None:
        provider.answer = hello
        handler.reply(b'{"error": {"message": "busy"}}', 503)

    provider.answer = busy_once
    command.configure(provider.profile().replace("max_retries = 0", "max_retries = 1"), TEST_KEY=CANARY)
    done = command.python(
        "import stamina, sys; stamina.set_testing(True, attempts=9); from qonduit_cli import main; "
        "sys.exit(main(['chat', 'hi']))"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("Hello\n", "", 0)
    assert len(provider.bodies) == 2


def test_ctrl_c_ends_a_stream(local: Command, provider: Provider) -> None:
    """Ctrl-C in a stalled stream closes the connection, ends the line and exits with 130."""
    provider.answer = stall
    process = local.start("chat", "hi")
    assert process.stdout is not None
    assert process.stdout.read(4) == "Once"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("\n", "", 130)
    assert provider.left.wait(30)


def test_a_reader_that_leaves_ends_it_quietly(local: Command, provider: Provider) -> None:
    """A closed pipe (`| head -1`) is no error."""
    go_on = provider.left

    def endless(handler: Handler) -> None:
        handler.begin_stream()
        handler.event({"content": "line\n"})
        go_on.wait(30)
        for _ in range(3):
            handler.event({"content": "line\n"})
        handler.event({}, "stop")
        handler.wfile.write(b"data: [DONE]\n\n")

    provider.answer = endless
    process = local.start("chat", "hi")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "line\n"
    process.stdout.close()
    go_on.set()
    assert process.stderr.read() == ""
    assert process.wait(30) == 0


def test_a_key_in_plain_text_is_warned_of_once(command: Command, provider: Provider) -> None:
    """A Python warning is one clean line on standard error."""
    command.configure(provider.profile().replace("env:TEST_KEY", CANARY))
    done = command.run("chat", "hi")
    assert done.stdout == "Hello\n"
    assert done.stderr.startswith("warning: ")
    assert "plain text" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "host"),
    [("DASHSCOPE_API_KEY", "dashscope.aliyuncs.com"), ("OPENAI_API_KEY", "api.openai.com")],
)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_key_chooses_its_provider(command: Command, variable: str, host: str, place: str) -> None:
    """A key in the environment or in `.env` is enough: its provider is asked, with a default model."""
    if place == ".env":
        (command.folder / ".env").write_text(f"{variable}={CANARY}\n")
    else:
        command.env[variable] = CANARY
    # A proxy that nobody listens at: the address is known from the error, and nothing leaves this machine.
    command.env |= {"HTTPS_PROXY": "http://127.0.0.1:9", "QONDUIT_MAX_RETRIES": "0"}
    done = command.run("chat", "hi")
    assert EMULATOR_NOTE not in done.stderr
    assert host in done.stderr
    assert done.returncode == 1


def test_a_found_key_is_not_sent_to_another_host(command: Command, provider: Provider) -> None:
    """A key that only `.env` has goes to its provider's hosts, not to any --base-url."""
    (command.folder / ".env").write_text(f"OPENAI_API_KEY={CANARY}\n")
    done = command.run("chat", "hi", "--base-url", provider.base_url, "-m", "small")
    assert "is not sent to" in done.stderr
    assert provider.keys == []
    assert done.returncode == 2


def test_text_that_the_terminal_cannot_show_is_no_error(local: Command, provider: Provider) -> None:
    """An answer is printed also where the encoding of standard output has no word for it."""

    def chinese(handler: Handler) -> None:
        handler.begin_stream()
        handler.event({"content": "你好"})
        handler.event({}, "stop")
        handler.wfile.write(b"data: [DONE]\n\n")

    provider.answer = chinese
    local.env["PYTHONIOENCODING"] = "ascii"
    done: subprocess.CompletedProcess[str] = local.run("chat", "hi")
    assert (done.stdout, done.returncode) == ("??\n", 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_sentence(local: Command) -> None:
    """An answer that cannot be written is an error of one line, also when Python ends."""
    with open("/dev/full", "w") as full:
        process = local.start("chat", "hi", stdout=full)
        assert process.stderr is not None
        assert process.stderr.read() == "error: No space left on device.\n"
    assert process.wait(30) == 1


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_stream_is_no_error(local: Command, closed: str) -> None:
    """Standard output or standard error may be closed by the caller."""
    code = (
        f"import os, sys; os.close({closed}); "
        "os.execv(sys.executable, [sys.executable, '-m', 'qonduit_cli', 'chat', 'hi'])"
    )
    done = local.python(code)
    assert (done.stdout, done.stderr, done.returncode) == ("" if closed == "1" else "Hello\n", "", 0)
