"""ProviderSuite: the cases that hold a provider's behaviour to its declaration and to the contract of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from qonduit.testing import _answers, _declaration, _refusals, _requests, _streams
from qonduit.testing._subject import Subject
from qonduit.testing.case import Case, hold
from qonduit.testing.exchange import Answer, Refusal, StreamedAnswer


@dataclass(frozen=True)
class ProviderSuite:
    """What is to be known of a provider in order to try it.

    Attributes:
        provider: the provider, as an entry point would give it.
        name: the name that its responses and errors carry.
        base_url: where its API would answer; nothing is sent there.
        model: the model that requests name.
        models: other models for what that one cannot do, by the name of an operation, a field, a part or a feature.
        answers: at least one for each operation that it declares.
        streams: at least one where it declares streams.
        refusals: at least one.
        settings: further settings of its profile, such as `workspace`.
    """

    provider: object
    _: KW_ONLY
    name: str
    base_url: str
    model: str
    models: Mapping[str, str] = field(default_factory=dict)
    answers: tuple[Answer, ...] = ()
    streams: tuple[StreamedAnswer, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def cases(self) -> list[Case]:
        """All cases, each with a name of its own. Raises: AssertionError for a provider without parts or facts."""
        subject = Subject(
            self.provider,
            name=self.name,
            base_url=self.base_url,
            model=self.model,
            models=self.models,
            settings=self.settings,
        )
        cases = [
            *_declaration.cases(subject, self.answers, self.streams, self.refusals),
            *_requests.cases(subject),
            *_answers.cases(subject, self.answers),
            *_streams.cases(subject, self.streams, self.answers),
            *_refusals.cases(subject, self.refusals),
        ]
        names = [case.name for case in cases]
        twice = sorted({name for name in names if names.count(name) > 1})
        hold(not twice, f"exchanges of one kind have the same name: {', '.join(twice)}")
        return cases
