"""The redactor takes secrets out of texts, and nothing else; it never raises."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qonduit.credentials import MASK, forms_of
from qonduit_logging import RULES, Redactor
from qonduit_logging.redaction import escape

KEY = "sk-canary7f3a9b2c4d5e6f70"
WITHOUT = Redactor()
VALUE = "Zx9$hunter/2+pass"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"the key {KEY}.", f"the key {MASK}."),
        (f'{{"key": "{KEY}"}}', f'{{"key": "{MASK}"}}'),
        (f"line\\n{KEY}", f"line\\n{MASK}"),
        (f"a%20{KEY}", f"a%20{MASK}"),
        ("st-0a1b2c3d4e5f60718293", MASK),
        ("Authorization: Bearer abc.def-123456", f"Authorization: {MASK}"),
        ("sent Bearer abc123def", f"sent Bearer {MASK}"),
        ("Basic dXNlcjpwYXNzd29yZDE=", f"Basic {MASK}"),
        ("https://user:p%40ss@proxy.test:8080/x", f"https://{MASK}@proxy.test:8080/x"),
        ("http://user:p@ss@proxy.test", f"http://{MASK}@proxy.test"),
        ("https://host.test/v1?a=1&key=AbC-123&b=2", f"https://host.test/v1?a=1&key={MASK}&b=2"),
        ("https://oss.test/x?OSSAccessKeyId=abc&Signature=x%2By", f"https://oss.test/x?OSSAccessKeyId={MASK}&Signature={MASK}"),
        ("api_key=abc", f"api_key={MASK}"),
        ("'X-Api-Key': 'abc def'", f"'X-Api-Key': {MASK}"),
        ('{"password": "a b\\"c"}', f'{{"password": {MASK}}}'),
        ("password: hunter2, next", f"password: {MASK}, next"),
        ("Set-Cookie: session=abc; Path=/", f"Set-Cookie: {MASK}"),
        ("LTAI5tAbCdEfGhIjKlMn", MASK),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", MASK),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", MASK),
        ("-----BEGIN PRIVATE KEY-----\nMIIE cut", MASK),
        ("see data:image/png;base64,AAAA now", "see [image/png, 3 bytes, sha256 709e80c88487a241] now"),
    ],
)  # fmt: skip
def test_what_is_redacted(text: str, expected: str) -> None:
    """Each kind of secret, and what stands around it."""
    assert WITHOUT.redact(text) == expected


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_has_a_use(rule) -> None:
    """The example of a rule has a hint of it, and the rule changes it."""
    assert any(hint in rule.example.lower() for hint in rule.hints)
    assert rule.pattern.sub(rule.replacement, rule.example) != rule.example
    assert not WITHOUT.harmless(rule.example)


@pytest.mark.parametrize(
    "text",
    [
        "task-scheduling-service and risk-management-framework-2024",
        "test-driven-development-2024, the latest-best-models-2025",
        "max_tokens=5 and token counts: 12; tokens: many",
        "Basic understanding of bearers; a bearer of bad news",
        "https://help.aliyun.com/zh/model-studio/?page=2#key-points",
        "mail me at someone@example.com, or see https://example.com/@user",
        "The key of success: work. The secret of life: 42.",
        "qwen-plus-2025-07-28 answered 429: Requests rate limit exceeded.",
        "你好，世界。 密钥不在这里。",
        "5f1c0f8e-7d5b-9f57-8a44-2f9c1f0a8b7c",
        "TG9yZW0gaXBzdW0gZG9sb3Igc2l0IGFtZXQsIGNvbnNlY3RldHVyIGFkaXBpc2Npbmc=",
    ],
)
def test_ordinary_text_is_left(text: str) -> None:
    """What only looks a little like a secret is left."""
    assert WITHOUT.clean(text) == text


AROUND = st.text(max_size=20)


@given(before=AROUND, after=AROUND)
@example(before="\x1b[31m", after="\n")
def test_a_value_is_found_wherever_it_is(before: str, after: str) -> None:
    """A secret that is known by its value goes: plain, percent-encoded, in JSON, and in base64 of a text around it."""
    redactor = Redactor([VALUE])
    raw = base64.b64encode((before + VALUE + after).encode(errors="surrogatepass")).decode()
    for text in (
        before + VALUE + after,
        quote((before + VALUE + after).encode(errors="surrogatepass"), safe=""),
        json.dumps(before + VALUE + after),
        raw,
        raw.replace("+", "-").replace("/", "_"),
    ):
        cleaned = redactor.clean(text, limit=None)
        assert VALUE not in cleaned
        assert not any(form in cleaned for form in forms_of(VALUE))


@given(
    before=AROUND.filter(lambda text: not text[-1:].isalnum()),
    after=AROUND,
    tail=st.text("abcdef0123456789", min_size=16, max_size=40),
)
def test_a_key_is_found_by_its_looks(before: str, after: str, tail: str) -> None:
    """A key that nobody told of goes too, also in base64."""
    key = f"sk-{tail}"
    assert key not in WITHOUT.clean(before + key + after, limit=None)
    for lead in ("", "u:", "a:", "key "):
        encoded = base64.b64encode(f"{lead}{key}".encode()).decode()
        assert encoded[6:-6] not in WITHOUT.clean(f"x {encoded} y", limit=None)


PIECES = st.sampled_from(
    ("sk-", "st-1", "Bearer ", "basic ", "password", "=", ": ", '"', "\\", "://", "@", "?key=", "&", MASK, "[", "]")
) | st.sampled_from(
    (
        "cookie",
        "data:",
        ";base64,",
        "AAAA",
        "c2st",
        "eyJ",
        "-----BEGIN PRIVATE KEY-----",
        "a1b2c3d4e5",
        "\n",
        "\0",
        "\ud800",
    )
)
NASTY = st.one_of(st.text(), st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=15).map("".join))


@pytest.mark.F66
@given(text=NASTY)
@example(text="?key=\x1f")
def test_cleaning_never_raises_and_settles(text: str) -> None:
    """Any text can be cleaned; cleaning once more changes nothing; no control character is left."""
    cleaned = WITHOUT.clean(text, limit=None)
    assert WITHOUT.clean(cleaned, limit=None) == cleaned
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in cleaned)
    cleaned.encode()


@given(text=NASTY, limit=st.integers(16, 60))
def test_a_cut_holds(text: str, limit: int) -> None:
    """No text is longer than its limit; a short one is only cleaned."""
    cleaned = WITHOUT.clean(text, limit=limit)
    assert len(cleaned) <= limit
    whole = WITHOUT.clean(text, limit=None)
    assert len(whole) > limit or len(text) > limit or cleaned == whole


def test_a_cut_leaves_no_half_of_a_value() -> None:
    """A value that the cut would go through is found whole."""
    value = "0123456789" * 5
    assert Redactor([value]).clean("x" * 20 + value + "y" * 6000, limit=60)[:30] == "x" * 20 + MASK


@pytest.mark.parametrize("before", ["", "a", "ab"])
@pytest.mark.parametrize("glued", ["", "x", "xy", "xyz"])
def test_base64_of_a_secret(before: str, glued: str) -> None:
    """It is found wherever it begins in a group of three bytes, and wherever the base64 begins in a run of letters."""
    for redactor, secret in ((Redactor([VALUE]), VALUE), (WITHOUT, KEY)):
        encoded = base64.b64encode(f"{before}:{secret}:z".encode()).decode()
        assert encoded[6:18] not in redactor.clean(f"<{glued}{encoded}>")


def test_a_cut_tells_the_length() -> None:
    """A text that was cut says how long it was."""
    assert WITHOUT.clean("word " * 100, limit=40) == "word word word word wo… (500 characters)"


@pytest.mark.parametrize("start", range(20, 60))
def test_a_cut_leaves_no_half_of_a_secret(start: int) -> None:
    """A secret that the cut would go through is redacted first."""
    text = "x" * start + " " + KEY + "y" * 6000
    assert "sk-" not in WITHOUT.clean(text, limit=50)


@pytest.mark.F66
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x07\x7f\x85\u2028", r"\x07\x7f\u0085\u2028"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\ud83d", r"\ud83d"),
        ("全角　空格 👍🏽 é", "全角　空格 👍🏽 é"),
    ],
)
def test_escape(text: str, expected: str) -> None:
    """What forges lines, colours a terminal or turns text around is written out; other scripts are left."""
    assert escape(text) == expected


def test_a_pattern_of_ones_own() -> None:
    """A pattern is redacted like the known kinds."""
    redactor = Redactor(patterns=[r"tenant-\d+"])
    assert redactor.clean("of tenant-77") == f"of {MASK}"


def test_a_short_value_is_not_looked_for() -> None:
    """A value of a few characters would be found in ordinary text."""
    assert Redactor(["the"]).clean("the text") == "the text"


def test_a_redactor_shows_no_value() -> None:
    """Its text tells how many values it has, and none of them."""
    assert VALUE not in repr(Redactor([VALUE]))
