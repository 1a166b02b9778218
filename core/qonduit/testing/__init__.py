"""Conformance cases for providers: what is declared in `ProviderInfo.capabilities` is what the parts do.

    suite = ProviderSuite(AcmeProvider(), name="acme", base_url="https://api.acme.example/v1", model="acme-1", …)

    @pytest.mark.parametrize("case", suite.cases(), ids=str)
    def test_conformance(case):
        case.check()

Cases are plain objects: they need no test framework, no network and no key.
"""

from qonduit.testing.case import Case
from qonduit.testing.exchange import Answer, Expected, Refusal, StreamedAnswer
from qonduit.testing.suite import ProviderSuite

__all__ = ["Answer", "Case", "Expected", "ProviderSuite", "Refusal", "StreamedAnswer"]
