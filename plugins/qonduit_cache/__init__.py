"""Cache: exact answers, for plain and streamed calls alike."""

from qonduit_cache.control import cache_control
from qonduit_cache.options import CacheOptions
from qonduit_cache.plugin import CachePlugin
from qonduit_cache.store import Store, StoreStats

__all__ = ["CacheOptions", "CachePlugin", "Store", "StoreStats", "cache_control"]
