"""Which tools the scripted model calls, and with what.

* `none`, or a tool's result as the last turn: no tool.
* a named function: that one. `required`: those the prompt asks for, else the first.
* `auto`: those the prompt asks for, by a word of the tool's name (Chinese words for the usual ones are
  known), by two characters of its Chinese description, or in general by “tool”, “function”, “工具” or “调用”.
* Unless `parallel_tool_calls` is true only the first of them is called; when it is true, every tool that
  was given.
"""

from __future__ import annotations

import hashlib
import json
import re

from qonduit_emulator._exchange import ChatRequest, Tool, ToolCall
from qonduit_emulator._json_schema import Hints, sample

MAX_PROMPT_CHARACTERS = 100_000
"""So much of the prompt is searched for tools."""

_GENERAL = re.compile(r"\btools?\b|\bfunctions?\b|工具|调用|函数", re.IGNORECASE)
_DULL_WORDS = frozenset({"get", "the", "current", "list", "find", "fetch", "query", "call", "tool", "function", "now"})
_DULL_CHARACTERS = (
    "获取",
    "查询",
    "一个",
    "当前",
    "现在",
    "用于",
    "可以",
    "指定",
    "返回",
    "进行",
    "需要",
    "时候",
)
_CHINESE_WORDS = {
    "weather": "天气",
    "time": "时间",
    "date": "日期",
    "price": "价格",
    "stock": "股",
    "news": "新闻",
    "translate": "翻译",
    "calculate": "计算",
    "add": "加",
    "search": "搜索",
    "email": "邮件",
    "order": "订单",
    "flight": "航班",
    "hotel": "酒店",
    "location": "位置",
}


def choose_calls(request: ChatRequest, prompt: str) -> tuple[ToolCall, ...]:
    """The calls to make; empty for an answer in text."""
    given = request.parameters
    choice = given.tool_choice
    if not given.tools or choice.mode == "none" or request.messages[-1].role == "tool":
        return ()
    if choice.mode == "function":
        chosen = [tool for tool in given.tools if tool.name == choice.name]
    else:
        chosen = [tool for tool in given.tools if _asks_for(prompt, tool)]
        if not chosen and (choice.mode == "required" or _GENERAL.search(prompt)):
            chosen = [given.tools[0]]
        if chosen and given.parallel_tool_calls:
            chosen = list(given.tools)
        elif not given.parallel_tool_calls:
            chosen = chosen[:1]
    hints = Hints(prompt)
    return tuple(_build_call(tool, hints, index, len(request.messages)) for index, tool in enumerate(chosen))


def _asks_for(prompt: str, tool: Tool) -> bool:
    prompt = prompt[:MAX_PROMPT_CHARACTERS]
    lowered = prompt.lower()
    if tool.name.lower() in lowered:
        return True
    words = [word.lower() for word in re.findall(r"[A-Za-z][a-z]+|[A-Z]+(?![a-z])", tool.name)]
    words = [word for word in words if len(word) > 2 and word not in _DULL_WORDS]
    if any(re.search(rf"\b{re.escape(word)}", lowered) for word in words):
        return True
    if any(_CHINESE_WORDS[word] in prompt for word in words if word in _CHINESE_WORDS):
        return True
    return any(pair in prompt for pair in _character_pairs(tool.description[:1000]))


def _character_pairs(description: str) -> set[str]:
    runs = re.findall(r"[\u4e00-\u9fff]{2,}", description)
    pairs = {run[index : index + 2] for run in runs for index in range(len(run) - 1)}
    return pairs.difference(_DULL_CHARACTERS)


def _build_call(tool: Tool, hints: Hints, index: int, turns: int) -> ToolCall:
    """One call; its id comes from what is called, its place and the number of turns, so ids do not recur."""
    value = sample(tool.parameters, hints) if tool.parameters else {}
    arguments = json.dumps(value, ensure_ascii=False)
    seed = f"{turns}/{index}/{tool.name}/{arguments}".encode("utf-8", "replace")
    return ToolCall(id=f"call_{hashlib.sha256(seed).hexdigest()[:24]}", name=tool.name, arguments=arguments)
