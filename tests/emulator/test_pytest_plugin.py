"""The pytest plugin, used by test suites of their own in a process of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = "from qonduit_emulator.pytest_plugin import _dashscope_emulator_process, dashscope_emulator\n"

SUITE = """
import httpx
import openai
import pytest

from qonduit_emulator import Emulator

QUESTION = [{"role": "user", "content": "hello"}]


@pytest.fixture
def client(dashscope_emulator: Emulator):
    emulator = dashscope_emulator
    with openai.OpenAI(base_url=emulator.base_url, api_key=emulator.api_key, max_retries=0) as client:
        yield client


def ask(client):
    return client.chat.completions.create(model="qwen-plus", messages=QUESTION)


def test_rules(dashscope_emulator, client):
    dashscope_emulator.rules.set(text="hello", answer="good morning")
    assert ask(client).choices[0].message.content == "good morning"


def test_rules_are_gone(dashscope_emulator, client):
    assert dashscope_emulator.rules.list() == ()
    assert dashscope_emulator.requests == ()
    assert "hello" in ask(client).choices[0].message.content


def test_faults(dashscope_emulator, client):
    dashscope_emulator.faults.set("error", 429, nth=2)
    ask(client)
    with pytest.raises(openai.RateLimitError):
        ask(client)


def test_limits(dashscope_emulator, client):
    dashscope_emulator.books.change_account("default", {"limits": {"requests_per_minute": 1}})
    ask(client)
    with pytest.raises(openai.RateLimitError):
        ask(client)


def test_limits_are_gone_and_requests_are_seen(dashscope_emulator, client):
    for _ in range(3):
        ask(client)
    requests = dashscope_emulator.requests
    assert [request.path for request in requests] == ["/compatible-mode/v1/chat/completions"] * 3
    assert requests[0].method == "POST"
    assert requests[0].json["messages"] == QUESTION
    assert "authorization" not in requests[0].headers
    assert dashscope_emulator.api_key not in str(requests)


def test_native(dashscope_emulator):
    headers = {"Authorization": f"Bearer {dashscope_emulator.api_key}"}
    assert httpx.get(dashscope_emulator.native_url + "/models", headers=headers, trust_env=False).status_code == 200
"""


def run_suite(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_users_suite(tmp_path: Path) -> None:
    """A suite sets rules, faults and limits, sees its requests, and finds all as at the start in the next test."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_users.py").write_text(SUITE)
    result = run_suite(tmp_path)
    assert "6 passed" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize("page", ["how-to/test-with-the-emulator.md", "zh-CN/test-with-the-emulator.md"])
def test_the_pages_own_suite(tmp_path: Path, page: str) -> None:
    """What the documentation shows is a suite that passes."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_page.py").write_text("\n\n".join(blocks), encoding="utf-8")
    result = run_suite(tmp_path)
    assert "5 passed" in result.stdout, result.stdout + result.stderr


def test_missing_dependency_is_named(tmp_path: Path) -> None:
    """Without starlette the fixture fails with what to install."""
    (tmp_path / "conftest.py").write_text("import sys\nsys.modules['starlette'] = None\n" + CONFTEST)
    (tmp_path / "test_users.py").write_text("def test_it(dashscope_emulator): pass\n")
    result = run_suite(tmp_path)
    assert 'pip install "qonduit[emulator]"' in result.stdout, result.stdout + result.stderr


def test_plugin_is_light() -> None:
    """Loading the plugin imports neither a server nor the emulator behind it."""
    program = (
        "import sys, pytest; before = set(sys.modules); import qonduit_emulator.pytest_plugin; "
        "print(sorted(set(sys.modules) - before))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.check_output([sys.executable, "-c", program], text=True, env=environment)
    assert eval(out) == ["qonduit_emulator", "qonduit_emulator.pytest_plugin"]
