"""Embeddings without a model: texts that share words and letters have vectors that point the same way.

Each text is cut into words, pairs of neighbouring words, and runs of three letters (single characters and pairs
in Chinese); each of these adds to a few places of the vector that its hash names. The vector is then given the
length 1. The same text has the same vector in every run, and a shorter vector of the same text is not the
beginning of the longer one.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

_WORD = re.compile(r"[^\W_]+")
_CHINESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")

WORD_WEIGHT = 1.0
PAIR_WEIGHT = 0.5
LETTERS_WEIGHT = 0.25
PLACES = 4
"""So many places of the vector belong to each feature."""
MAX_CHARACTERS = 40_000
"""A longer text counts up to here."""


def embed(text: str, dimension: int) -> list[float]:
    """The vector of a text, of length 1. A text without a letter has one of its own too."""
    vector = [0.0] * dimension
    for feature, weight in weigh(text).items():
        for place, sign in _places(feature, dimension):
            vector[place] += sign * weight
    length = math.sqrt(math.fsum(value * value for value in vector))
    if not length:
        vector[0] = length = 1.0
    return [value / length for value in vector]


def embed_sparse(text: str) -> list[tuple[str, float]]:
    """The words of a text with their weights, heaviest first; the weights of a text have the length 1."""
    counts = Counter(_words(text[:MAX_CHARACTERS].lower()))
    weights = {word: 1 + math.log(count) for word, count in counts.items()}
    length = math.sqrt(math.fsum(weight * weight for weight in weights.values())) or 1.0
    return sorted(((word, weight / length) for word, weight in weights.items()), key=lambda pair: -pair[1])


def relate(query: str, document: str) -> float:
    """How much a document has to do with a query, between 0 and 1: the share of the query's features it has."""
    asked, found = weigh(query), weigh(document)
    if not asked or not found:
        return 0.0
    shared = math.fsum(min(weight, found[feature]) for feature, weight in asked.items() if feature in found)
    recall = shared / math.fsum(asked.values())
    return round(min(recall * (0.85 + 0.15 * shared / math.fsum(found.values())), 1.0), 12)


@lru_cache(maxsize=4096)
def weigh(text: str) -> dict[str, float]:
    """The features of a text with their weights; do not change what you get."""
    lowered = text[:MAX_CHARACTERS].lower()
    words = list(_words(lowered))
    weights: dict[str, float] = {}
    for word in words:
        _add(weights, f"word {word}", WORD_WEIGHT)
        for start in range(len(word) - 2):
            _add(weights, f"letters {word[start : start + 3]}", LETTERS_WEIGHT)
    for first, second in pairwise(words):
        _add(weights, f"pair {first} {second}", PAIR_WEIGHT)
    if not weights and lowered:
        _add(weights, f"text {lowered}", WORD_WEIGHT)
    return weights


def _add(weights: dict[str, float], feature: str, weight: float) -> None:
    weights[feature] = weights.get(feature, 0.0) + weight


def _words(text: str) -> Iterator[str]:
    """Words; in Chinese, where nothing stands between them, characters."""
    for word in _WORD.findall(text):
        rest = ""
        for character in word:
            if _CHINESE.match(character):
                if rest:
                    yield rest
                rest = ""
                yield character
            else:
                rest += character
        if rest:
            yield rest


@lru_cache(maxsize=65_536)
def _places(feature: str, dimension: int) -> tuple[tuple[int, int], ...]:
    """Where a feature stands in a vector, and with which sign."""
    digest = hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=4 * PLACES).digest()
    numbers = [int.from_bytes(digest[start : start + 4]) for start in range(0, len(digest), 4)]
    return tuple((number % dimension, 1 if number >> 31 else -1) for number in numbers)
