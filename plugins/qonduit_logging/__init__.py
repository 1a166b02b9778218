"""Logging: one structured record a call and one an attempt; formatters, redaction and traces."""

from qonduit_logging.fields import FIELDS
from qonduit_logging.formatters import ConsoleFormatter, JSONFormatter
from qonduit_logging.options import LoggingOptions
from qonduit_logging.plugin import LoggingPlugin
from qonduit_logging.redaction import RULES, Redactor

__all__ = ["FIELDS", "RULES", "ConsoleFormatter", "JSONFormatter", "LoggingOptions", "LoggingPlugin", "Redactor"]
