"""TIERS: how an input is opened for a run and how its result is sealed. What is not built here is refused, never
imitated."""
