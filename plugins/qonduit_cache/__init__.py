"""Cache: exact answers, for plain and streamed calls alike."""

from qonduit_cache.plugin import CachePlugin

__all__ = ["CachePlugin"]
