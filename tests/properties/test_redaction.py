"""A secret goes out of a text however it was written there: in any of these ways, within another, in any long text."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qonduit_logging import Redactor

SECRETS = st.text("ABCXYZabcxyz0189_-./+=$!", min_size=12, max_size=60).filter(
    lambda text: len(set(text)) > 6 and text.strip("./+=$!_-") == text
)
"""Keys and tokens as services make them."""
AROUND = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
FILLER = st.sampled_from(["word ", "x", "。", "a=b&c ", "\n"])

Way = Callable[[str], str]


def aligned(before: int, encode: Callable[[bytes], bytes] = base64.b64encode) -> Way:
    """Base64 of the secret behind so many bytes."""
    return lambda text: encode(b":" * before + text.encode() + b"::").decode()


WAYS: dict[str, Way] = {
    "plain": str,
    "JSON": json.dumps,
    "JSON in JSON": lambda text: json.dumps(json.dumps({"key": text})),
    "a Python value": repr,
    "a path of a URL": lambda text: quote(text, safe=""),
    "a form": quote_plus,
    "a header": lambda text: f"Authorization: Bearer {text}",
    "a URL": lambda text: f"https://host.test/v1?page=1&x={quote(text, safe='')}#top",
    **{f"base64 behind {number}": aligned(number) for number in range(3)},
    **{f"base64 for URLs behind {number}": aligned(number, base64.urlsafe_b64encode) for number in range(3)},
}


def traces(secret: str) -> list[str]:
    """What would give it away: the secret, and the inner part of its base64, wherever it begins."""
    inner = [aligned(number)(secret)[8:-8] for number in range(3)]
    return [secret, quote(secret, safe=""), *(piece for piece in inner if len(piece) >= 8)]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@settings(max_examples=40, deadline=None)
@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_a_secret_that_is_known_goes(way: Way, secret: str, before: str, after: str) -> None:
    """By its value; nothing of it is left that could be put together again."""
    cleaned = Redactor([secret]).clean(before + way(secret) + after, limit=None)
    assert not [trace for trace in traces(secret) if trace in cleaned]


@settings(max_examples=60, deadline=None)
@given(
    secret=SECRETS,
    way=st.sampled_from(list(WAYS.values())),
    filler=FILLER,
    before=st.integers(0, 3000),
    after=st.integers(0, 3000),
    limit=st.integers(50, 1500),
)
def test_a_cut_shows_no_part_of_a_secret(
    secret: str, way: Way, filler: str, before: int, after: int, limit: int
) -> None:
    """Wherever the cut goes through it: no eight characters of it are left at the end."""
    text = filler * (before // len(filler)) + way(secret) + filler * (after // len(filler))
    cleaned = Redactor([secret]).clean(text, limit=limit)
    assert len(cleaned) <= limit
    assert not [trace for trace in traces(secret) if trace in cleaned]
    shown = re.sub(r"… \(\d+ characters\)$", "", cleaned)
    assert secret[:8] not in shown[-60:]


@settings(max_examples=40, deadline=None)
@given(secrets=st.lists(SECRETS, min_size=2, max_size=5, unique=True), between=AROUND, ways=st.data())
def test_several_secrets_in_one_text_all_go(secrets: list[str], between: str, ways: st.DataObject) -> None:
    """Also when one begins where another ends, or is a part of it."""
    drawn = [ways.draw(st.sampled_from(["plain", "JSON", "a form", "a path of a URL"])) for _ in secrets]
    text = between.join(WAYS[name](secret) for name, secret in zip(drawn, secrets, strict=True))
    cleaned = Redactor(secrets).clean(text, limit=None)
    assert not [secret for secret in secrets if secret in cleaned]


@given(secret=SECRETS, place=st.integers(0, 11))
def test_each_field_of_a_record_is_cleaned_by_itself(secret: str, place: int) -> None:
    """Keys and values of mappings, at any depth; halves of a secret in two fields are two texts, and not known."""
    redactor = Redactor([secret])
    cleaned = json.dumps(redactor.clean_all({secret: [secret, {"x": {"y": f"a {secret}"}}], "n": 1, "f": None}))
    assert secret not in cleaned
    halves = {"a": secret[:place], "b": secret[place:]}
    if place:
        assert redactor.clean_all(halves).keys() == halves.keys()
