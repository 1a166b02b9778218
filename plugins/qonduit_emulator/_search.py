"""A web search without a web: the same prompt always finds the same three pages, on `example.com`."""

from __future__ import annotations

import hashlib

from qonduit_emulator._exchange import ChatRequest, Search, SearchResult
from qonduit_emulator._sentences import Language, language_of

MAX_TITLE_CHARACTERS = 40


def search(request: ChatRequest) -> tuple[SearchResult, ...]:
    """What is found for the last user turn."""
    prompt = next((m.text for m in reversed(request.messages) if m.role == "user"), "")
    language = language_of(prompt)
    slug = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()[:12]
    return tuple(
        SearchResult(
            index=index,
            title=title.format(prompt=prompt[:MAX_TITLE_CHARACTERS]),
            url=f"https://www.example.com/{slug}/{index}",
            site_name=language.search_site,
            icon="https://www.example.com/favicon.ico",
        )
        for index, title in enumerate(language.search_titles, 1)
    )


def cite(results: tuple[SearchResult, ...], asked: Search, language: Language) -> str:
    """A sentence on what was found, with its numbers where citations were asked for: they need the sources."""
    marks = ""
    if asked.source and asked.citation:
        marks = "".join(asked.citation_format.replace("<number>", str(result.index)) for result in results)
    return language.search_note.format(count=len(results), marks=marks)
