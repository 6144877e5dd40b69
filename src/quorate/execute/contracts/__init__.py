"""Calls of deployed contracts as tasks: what a run is told, which machine runs it, and what is voted on."""
