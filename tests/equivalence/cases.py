"""The cases: what is asked of every provider in every mode, as data.

`expect` says some of what the reference must be (fields as `outcome` names them), so that three providers that are
wrong in the same way are found as well.
"""

from __future__ import annotations

from tests.equivalence.cases_errors import BROKEN, REFUSED
from tests.equivalence.cases_messages import MEDIA, MESSAGES, SIZES, UNICODE
from tests.equivalence.cases_parameters import CHOICES, COUNTS, ENDS, PASSED_ON, SAMPLING, SEARCH
from tests.equivalence.cases_reasoning import BY_MODEL, THINKING
from tests.equivalence.cases_structure import CALLING, JSON

CASES = (
    *MESSAGES,
    *MEDIA,
    *CALLING,
    *THINKING,
    *BY_MODEL,
    *JSON,
    *CHOICES,
    *ENDS,
    *UNICODE,
    *SIZES,
    *COUNTS,
    *SAMPLING,
    *SEARCH,
    *PASSED_ON,
    *REFUSED,
    *BROKEN,
)
