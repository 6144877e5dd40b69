"""Verdict -> Settlement: accounts, escrow, windows and slashing as one pure state machine."""
