"""Timing: logs how long each call took."""

from qonduit_timing.plugin import TimingPlugin

__all__ = ["TimingPlugin"]
