"""Benchmark of qonduit against raw httpx and the SDKs: `python -m tests.benchmarks`."""
