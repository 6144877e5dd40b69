"""How a run ends: one vocabulary for every machine, split into outcomes that vote and failures that never do.

Protocol rule R5. An outcome is *votable* when the program, its input and the pinned engine version decide it alone,
so that every honest executor reports the same one; it is billed. A *failure* depends on the executor's machine (its
speed, its native stack, its health) and never agrees with anything, not even with the same failure elsewhere.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The end of one run. The strings are part of signed claims: never renamed, never reused. The last three votable
    ones are ends of contract calls, whose outcome names the trap: `aborted` by the contract itself, and `unresolved`
    when it asked for a balance that its caller did not look up, which every executor finds alike."""

    SUCCESS = "success"
    NONZERO_EXIT = "nonzero_exit"
    OUT_OF_FUEL = "out_of_fuel"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    UNREACHABLE = "unreachable"
    OUT_OF_BOUNDS = "out_of_bounds"
    DIVISION_BY_ZERO = "division_by_zero"
    INTEGER_OVERFLOW = "integer_overflow"
    BAD_CONVERSION = "bad_conversion"
    INDIRECT_CALL = "indirect_call"
    ABORTED = "aborted"
    CONTRACT_TRAP = "contract_trap"
    UNRESOLVED = "unresolved"

    WALL_CLOCK = "wall_clock"
    COMPILE_CLOCK = "compile_clock"
    NATIVE_STACK_OVERFLOW = "native_stack_overflow"
    WORKER_DEATH = "worker_death"
    CANCELLED = "cancelled"


FAILURES = frozenset(
    {
        Status.WALL_CLOCK,
        Status.COMPILE_CLOCK,
        Status.NATIVE_STACK_OVERFLOW,
        Status.WORKER_DEATH,
        Status.CANCELLED,
    }
)
VOTABLE = frozenset(Status) - FAILURES
TRAPS = VOTABLE - {Status.SUCCESS, Status.NONZERO_EXIT}


def is_votable(status: str) -> bool:
    """True when equal reports of `status` may agree. A word outside the vocabulary is no vote."""
    return status in VOTABLE
