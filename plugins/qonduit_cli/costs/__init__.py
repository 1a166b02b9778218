"""`qonduit cost`: what calls have cost, read from a ledger of the plugin `cost`."""
