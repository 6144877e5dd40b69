"""MACHINES: what runs a program under hard limits, in jailed processes, and says how it ended."""
