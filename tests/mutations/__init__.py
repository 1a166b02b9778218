"""Deliberate bugs, and the proof that the tests find each of them: `python -m tests.mutations`."""
