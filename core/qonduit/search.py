"""Search: what a model found on the web before it answered."""

from __future__ import annotations

from qonduit.value import Value


class SearchResult(Value):
    """One page that was found. `index` is the number that a citation such as `[1]` in the text stands for."""

    index: int | None = None
    title: str | None = None
    url: str | None = None
    site_name: str | None = None
    icon: str | None = None


class Search(Value):
    """The pages that an answer rests on, in the provider's order; what else it says of the search is kept as extra."""

    results: tuple[SearchResult, ...] = ()

    def cited(self, text: str) -> tuple[SearchResult, ...]:
        """The results that `text` cites as `[1]` or `[ref_1]`, in the order of the results."""
        import re  # noqa: PLC0415  # only who asks for it pays for it

        numbers = {int(number) for number in re.findall(r"\[(?:ref_)?(\d+)\]", text)}
        return tuple(result for result in self.results if result.index in numbers)
