"""Redactor: takes secrets, control characters and excess length out of every text that is logged.

Secrets go by value (the keys in use, what the option `redact` names: plain, percent-encoded, and in base64) and by
pattern (`RULES`). A rule is tried only on a text that holds one of its hints, so that ordinary text costs little.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from qonduit.credentials import MASK, forms_of

MAX_CHARACTERS = 1000
"""How long a text of a record may be that is not part of a prompt or an answer."""
_WINDOW = 4096
"""How far beyond a cut a secret is looked for, so that none is cut in two and then not known."""

_BEGINS = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"
"""The start of a word: also after a percent-encoded character, and after an escaped line break."""
_NAMES = (
    r"(?:api|access|secret|private|account|subscription)[_-]?key(?:[_-]?(?:id|secret))?|(?:client|app)[_-]?secret"
    r"|passw(?:or)?d|passphrase|pwd|(?:access|refresh|auth|id|session|security|bearer)[_-]?token|authorization"
    r"|(?<![\w-])(?:token|secret)(?=\s*=|\\?[\"']\s*:)"
)
"""Names whose value is a secret; of "token" and "secret" alone only in what looks like code, not in a sentence."""
_VALUE = r"""(?:\[redacted\]|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|(?:(?:bearer|basic)\s+)?[^\s"'&,;<>]+)"""


class Rule(NamedTuple):
    """One kind of secret: `pattern` is tried where one of `hints` is in the text in lower case."""

    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]
    example: str


def _encoded(match: re.Match[str]) -> str:
    """A mask in place of base64 that holds a key; other base64 is left."""
    text = match[0].rstrip("=").replace("-", "+").replace("_", "/")
    for start in range(4):  # where the base64 begins is not known when something stands before it
        piece = text[start:]
        if _KEY_BYTES.search(base64.b64decode(piece[: len(piece) // 4 * 4])):
            return MASK
    return match[0]


def _blob(match: re.Match[str]) -> str:
    return f"[{describe(match[0])}]"


def describe(url: str) -> str:
    """What a data URL holds, without holding it: its media type, its size, and the start of its sha256."""
    media, size, digest = fingerprint(url)
    return f"{media or 'data'}, {size} bytes, sha256 {digest}"


def fingerprint(data: str) -> tuple[str | None, int, str]:
    """The media type, the number of bytes, and the first 16 digits of the sha256 of a data URL or of bare base64."""
    media = None
    if data[:5].lower() == "data:":
        head, _, data = data[5:].partition(",")
        media = head.partition(";")[0] or None
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        content = data.encode(errors="surrogatepass")
    return media, len(content), hashlib.sha256(content).hexdigest()[:16]


_KEY_BYTES = re.compile(rb"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{8}")

RULES: tuple[Rule, ...] = (
    Rule(
        "data URL",
        (";base64,",),
        re.compile(r"data:[\w/+.;=-]*;base64,[A-Za-z0-9+/_-]*=*", re.IGNORECASE),
        _blob,
        "data:image/png;base64,iVBORw0KGgo=",
    ),
    Rule(
        "private key",
        ("private key-----",),
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        MASK,
        "-----BEGIN PRIVATE KEY-----MIIE…",
    ),
    Rule(
        "password in a URL",
        ("://",),
        re.compile(r"(?<=://)[^\s/?#\"'<>]+@"),
        f"{MASK}@",
        "http://user:password@proxy.test:8080",
    ),
    Rule(
        "secret in a query",
        ("key=", "keyid=", "token=", "signature=", "sig=", "secret="),
        re.compile(r"(?i)(?<=[?&])([\w.%-]*(?:key|keyid|token|signature|sig|secret))=[^&\s\"'<>#]+"),
        rf"\1={MASK}",
        "https://host.test/v1?key=AbC123",
    ),
    Rule(
        "named secret",
        ("key", "secret", "passw", "passphrase", "pwd", "token", "authorization"),
        re.compile(rf"""(?i)((?:{_NAMES})\\?["']?\s*(?:=|:|=>)\s*\\?)({_VALUE})"""),
        rf"\1{MASK}",
        'api_key = "AbC123", password: hunter2',
    ),
    Rule(
        "cookie",
        ("cookie",),
        re.compile(r"(?i)(cookie\\?[\"']?\s*[:=]\s*\\?[\"']?)[^\s\"'\\][^\r\n\"'\\]*"),
        rf"\1{MASK}",
        "Set-Cookie: session=AbC123; Path=/",
    ),
    Rule(
        "bearer token",
        ("bearer",),
        re.compile(r"(?i)\b(bearer(?:\s+|%20))(?=[\w.~+/=-]*[0-9]|[\w.~+/=-]{24})[\w.~+/=-]{6,}"),
        rf"\1{MASK}",
        "Bearer AbC123",
    ),
    Rule(
        "basic authorization",
        ("basic",),
        re.compile(r"(?i)\b(basic(?:\s+|%20))(?=[A-Za-z0-9+/]*[0-9=])[A-Za-z0-9+/]{8,}={0,2}"),
        rf"\1{MASK}",
        "Basic dXNlcjpwYXNzd29yZDE=",
    ),
    Rule(
        "API key",
        ("sk-",),
        re.compile(_BEGINS + r"sk-[A-Za-z0-9_-]{8,}"),
        MASK,
        "sk-0123456789abcdef",
    ),
    Rule(
        "temporary token",
        ("st-",),
        re.compile(_BEGINS + r"st-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{12,}"),
        MASK,
        "st-0123456789abcdef",
    ),
    Rule(
        "key of another service",
        ("akia", "ltai", "gh", "aiza", "xox", "hf_"),
        re.compile(
            _BEGINS
            + r"(?:AKIA[0-9A-Z]{12,}|LTAI[0-9A-Za-z]{12,}|gh[opsu]_[0-9A-Za-z]{16,}|github_pat_\w{16,}"
            + r"|AIza[\w-]{24,}|xox[abprs]-[\w-]{8,}|hf_[0-9A-Za-z]{16,})"
        ),
        MASK,
        "LTAI0123456789abcdef",
    ),
    Rule(
        "JSON web token",
        ("eyj",),
        re.compile(_BEGINS + r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+"),
        MASK,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ),
    Rule(
        "base64 of an API key",
        ("c2st", "nrl", "zay"),
        re.compile(r"[A-Za-z0-9+/_-]*(?:c2st|NrL[Q-Za-f]|zay[01])[A-Za-z0-9+/_-]{10,}={0,2}"),
        _encoded,
        "c2stMDEyMzQ1Njc4OWFiY2RlZg==",
    ),
)
"""The kinds of secrets that are known by their looks, in the order in which they are removed."""

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    return _NAMED.get(character) or (f"\\x{ord(character):02x}" if character < "\x80" else f"\\u{ord(character):04x}")


class Redactor:
    """Makes texts safe to log.

    Args:
        values: secrets to remove wherever they are; those shorter than `SHORTEST_VALUE` are not looked for.
        patterns: regular expressions of further secrets.
    """

    def __init__(self, values: Iterable[str] = (), patterns: Iterable[str | re.Pattern[str]] = ()) -> None:
        self._values = tuple(form for value in values for form in forms_of(value))
        self._patterns = tuple(re.compile(pattern) for pattern in patterns)

    def __repr__(self) -> str:
        """Shows no value."""
        return f"<Redactor of {len(self._values)} values, {len(self._patterns)} patterns and {len(RULES)} rules>"

    def harmless(self, text: str, values: tuple[str, ...] = ()) -> bool:
        """Whether `text` needs no change, told quickly: False may be said of a text that needs none."""
        if not text.isprintable() or self._patterns:
            return False
        lowered = text.lower()
        for hint in _HINTS:
            if hint in lowered:
                if any(rule.pattern.search(text) for rule in _hinted(lowered)):
                    return False
                break
        for value in self._values:
            if value in text:
                return False
        for value in values:  # noqa: SIM110  # a generator would cost more than the search
            if value in text:
                return False
        return True

    def redact(self, text: str, values: tuple[str, ...] = ()) -> str:
        """`text` without secrets; `values` are further `forms_of` some. Never raises."""
        for _ in range(3):  # what one rule leaves may be what another one knows
            before = text
            for value in (*values, *self._values):
                if value in text:
                    text = text.replace(value, MASK)
            for pattern in self._patterns:
                text = pattern.sub(MASK, text)
            for rule in _hinted(text.lower()):
                text = rule.pattern.sub(rule.replacement, text)
            if text == before:
                break
        return text

    def clean(self, text: str, values: tuple[str, ...] = (), *, limit: int | None = MAX_CHARACTERS) -> str:
        """`text` without secrets, with control characters escaped, and cut to `limit` characters. Never raises."""
        if limit is None or len(text) <= limit:
            if self.harmless(text, values):
                return text
        else:
            if ";base64," in text:  # whole, so that the size that is told is its size
                text = RULES[0].pattern.sub(_blob, text)
            length = len(text)
            text = text[: limit + _WINDOW]
            cut_off = length - len(text)
            return _cut(self._safe(text, values), limit, cut_off)
        text = self._safe(text, values)
        return text if limit is None else _cut(text, limit, 0)

    def _safe(self, text: str, values: tuple[str, ...]) -> str:
        text = self.redact(text, values)
        escaped = escape(text)
        return text if escaped is text else self.redact(escaped, values)

    def clean_all(self, value: Any, values: tuple[str, ...] = (), *, limit: int | None = MAX_CHARACTERS) -> Any:
        """`value` with each text in it cleaned: texts, and lists and mappings of them, their keys too."""
        if isinstance(value, str):
            return self.clean(value, values, limit=limit)
        if isinstance(value, dict):
            return {
                self.clean(str(name), values): self.clean_all(item, values, limit=limit) for name, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.clean_all(item, values, limit=limit) for item in value]
        return value


def _hinted(lowered: str) -> list[Rule]:
    """The rules of which a text in lower case has a hint."""
    return [rule for rule in RULES if any(hint in lowered for hint in rule.hints)]


def escape(text: str) -> str:
    """`text` with control characters written out: they forge lines, colour terminals and turn text around."""
    return text if text.isprintable() else _UNSAFE.sub(_escaped, text)


def _cut(text: str, limit: int, more: int) -> str:
    """`text` in at most `limit` characters, with how much is missing; `more` is missing already."""
    if len(text) <= limit and not more:
        return text
    mark = f"… ({len(text) + more} characters)"
    return text[: max(0, limit - len(mark))] + mark[:limit]


_ALL_HINTS = {hint for rule in RULES for hint in rule.hints}
_HINTS = tuple(hint for hint in sorted(_ALL_HINTS) if not any(other in hint for other in _ALL_HINTS - {hint}))
"""The hints that are not found by way of a shorter one."""
