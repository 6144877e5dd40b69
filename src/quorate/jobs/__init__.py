"""THE PATH: admission, the walk, the life cycle of a job, its conclusion and receipt, quotes and explanations."""
