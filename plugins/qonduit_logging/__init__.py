"""Logging: one structured record a call and one an attempt."""

from qonduit_logging.plugin import LoggingPlugin

__all__ = ["LoggingPlugin"]
