"""Cost: what calls cost, by published prices."""

from qonduit_cost.ledger import LedgerError
from qonduit_cost.plugin import CostPlugin

__all__ = ["CostPlugin", "LedgerError"]
