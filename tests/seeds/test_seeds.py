"""The programs that the project began from, only their import line and base URL changed, on a scripted server."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.servers import CLOSE, Request, ScriptedServer, refusing_address
from tests.wires import WIRES

Serve = Callable[..., ScriptedServer]
WIRE = WIRES["qwen"]

IMPORT = "from qonduit import Client as OpenAI, RateLimitError, APIConnectionError"

WHOLE = """
import os
{IMPORT}

from dotenv import load_dotenv
load_dotenv()
api_key = os.getenv('DASHSCOPE_API_KEY')

client = OpenAI(
    api_key=api_key,
    base_url="{BASE_URL}",
    timeout=30
)

messages = [
    {{
        "role": "user",
        "content": "请解释什么是机器学习？"
    }}
]

try:
    response = client.chat.completions.create(
        model="qwen-plus",
        messages=messages,
        temperature=0.7,
        max_tokens=1024,
        stream=False
    )

    generated_text = response.choices[0].message.content

    input_tokens = response.usage.input_tokens
    output_tokens = response.usage.output_tokens
    total_tokens = response.usage.total_tokens

    print(f"生成内容: {{generated_text}}")
    print(f"Token使用: 输入{{input_tokens}}, 输出{{output_tokens}}, 总计{{total_tokens}}")

except RateLimitError as e:
    print("API限流，请稍后再试")
    print(f"错误信息: {{str(e)}}")

except APIConnectionError as e:
    print("网络连接错误")
    print(f"错误信息: {{str(e)}}")

except Exception as e:
    print(f"发生错误: {{type(e).__name__}}")
    print(f"错误信息: {{str(e)}}")
"""

STREAMED = """
import os
{IMPORT}

client = OpenAI(
    api_key=os.getenv('DASHSCOPE_API_KEY'),
    base_url="{BASE_URL}"
)

response = client.chat.completions.create(
    model="qwen-plus",
    messages=[{{"role": "user", "content": "请写一首诗"}}],
    stream=True
)

for chunk in response:
    if chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end='', flush=True)
"""

SHORT = """
{IMPORT}

client = OpenAI(
    api_key="sk-seed",
    base_url="{BASE_URL}"
)

response = client.chat.completions.create(
    model="qwen-plus",
    messages=[
        {{"role": "user", "content": "你好"}}
    ]
)

print(response.choices[0].message.content)
"""


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The key is in the environment, as the documents say."""
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-seed")
    monkeypatch.chdir(tmp_path)


def run(program: str, base_url: str) -> str:
    """What a program prints. Its client's connections are closed afterwards, as the end of its process would."""
    source = program.format(IMPORT=IMPORT, BASE_URL=base_url)
    names: dict[str, Any] = {"__name__": "__main__"}
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, "<seed>", "exec"), names)
    names["client"].close()
    return output.getvalue()


def speaking(request: Request) -> Any:
    return WIRE.stream_reply(["床前", "明月光"]) if request.json.get("stream") else WIRE.plain_reply("机器学习是……")


def test_the_whole_program(serve: Serve) -> None:
    """The complete program prints the answer and the tokens, input_tokens by that name."""
    server = serve(speaking)
    printed = run(WHOLE, server.url + WIRE.prefix)
    assert printed == "生成内容: 机器学习是……\nToken使用: 输入5, 输出2, 总计7\n"
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/compatible-mode/v1/chat/completions")
    assert request.headers["authorization"] == "Bearer sk-seed"
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "model": "qwen-plus",
        "messages": [{"role": "user", "content": "请解释什么是机器学习？"}],
        "temperature": 0.7,
        "max_tokens": 1024,
    }


def test_the_streamed_program(serve: Serve) -> None:
    """The streamed program prints the pieces as they come; every chunk has its first choice."""
    server = serve(speaking)
    assert run(STREAMED, server.url + WIRE.prefix) == "床前明月光"
    assert server.requests[0].json["stream"] is True
    assert server.requests[0].json["messages"] == [{"role": "user", "content": "请写一首诗"}]


def test_the_short_program(serve: Serve) -> None:
    """The short program of the comparison of both interfaces prints the answer."""
    server = serve(speaking)
    assert run(SHORT, server.url + WIRE.prefix) == "机器学习是……\n"


@pytest.mark.parametrize(("program", "printed"), [(SHORT, "机器学习是……\n"), (STREAMED, "床前明月光")])
def test_a_program_that_closes_nothing(serve: Serve, program: str, printed: str) -> None:
    """A program of its own, which never closes its client, ends without a word of it."""
    server = serve(speaking)
    source = program.format(IMPORT=IMPORT, BASE_URL=server.url + WIRE.prefix)
    ran = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", source],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=30,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, printed, "")


@pytest.mark.parametrize(
    ("status", "code", "first"),
    [
        (429, "limit_requests", "API限流，请稍后再试"),
        (401, "invalid_api_key", "发生错误: AuthenticationError"),
        (400, "invalid_parameter_error", "发生错误: BadRequestError"),
        (403, "access_denied", "发生错误: PermissionDeniedError"),
        (503, "ModelUnavailable", "发生错误: ServiceUnavailableError"),
    ],
)
def test_the_programs_branches_of_errors(serve: Serve, no_waiting: None, status: int, code: str, first: str) -> None:
    """Each kind of error ends in the branch of the program that is meant for it, with a text to print."""
    server = serve(lambda request: WIRE.error(status, code))
    lines = run(WHOLE, server.url + WIRE.prefix).splitlines()
    assert lines[0] == first
    assert lines[1].startswith(f"错误信息: qwen answered {status} ({code})")
    assert len(server.requests) == (4 if status in {429, 503} else 1)


def test_the_programs_branch_of_connections(serve: Serve, no_waiting: None) -> None:
    """A server that cannot be reached, or that breaks off, ends in the branch of connection errors."""
    server = serve(lambda request: [CLOSE])
    with refusing_address() as address:
        for url in (server.url, address):
            lines = run(WHOLE, url + WIRE.prefix).splitlines()
            assert lines[0] == "网络连接错误"
            assert lines[1].startswith("错误信息: ")


def test_a_limit_that_passes(serve: Serve, no_waiting: None) -> None:
    """A rate limit that passes is not seen by the program at all."""
    replies = [WIRE.error(429, "limit_requests"), WIRE.error(503, "ModelUnavailable"), WIRE.plain_reply("好")]
    server = serve(replies)
    assert run(SHORT, server.url + WIRE.prefix) == "好\n"
    assert len(server.requests) == 3
