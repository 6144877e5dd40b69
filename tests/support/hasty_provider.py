"""A provider that waits two seconds, not thirty, for the next word of a requester's node before it turns to the ledger.
Otherwise the shipped one: for a test that has no half minute."""

from __future__ import annotations

from quorate.api import process
from quorate.jobs import forcing

if __name__ == "__main__":
    forcing.FORCE_AFTER_MS = 2_000
    process.main()
