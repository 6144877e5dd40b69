"""Why a container is refused, one name for each fault. The names are part of the conformance vectors.

A refusal is `quorate.errors.BadContract` with the fault's name and, for a fault in the code, its place there.
"""

from __future__ import annotations

from enum import StrEnum

from quorate.errors import BadContract


class Fault(StrEnum):
    """Of several faults the first that is met is named: the steps of `docs/spec/bytecode.md`, section 3, then the two
    passes of section 4, each from the beginning of the code to its end."""

    OVERSIZE = "oversize"
    TRUNCATED = "truncated"
    BAD_MAGIC = "bad_magic"
    BAD_VERSION = "bad_version"
    BAD_SCHEDULE = "bad_schedule"
    BAD_CHECK = "bad_check"
    WRONG_ADDRESS = "wrong_address"
    LIMIT_CELLS = "limit_cells"
    LIMIT_MEMORY = "limit_memory"
    LIMIT_STATE = "limit_state"
    LIMIT_CYCLES = "limit_cycles"
    RESERVED_AREA = "reserved_area"
    FUNCTION_COUNT = "function_count"
    EXPORT_COUNT = "export_count"
    TRAILING_BYTES = "trailing_bytes"
    FUNCTION_START = "function_start"
    FUNCTION_LOCALS = "function_locals"
    FUNCTION_RESULTS = "function_results"
    FRAME_SIZE = "frame_size"
    EXPORT_ORDER = "export_order"
    EXPORT_NAME = "export_name"
    EXPORT_KIND = "export_kind"
    EXPORT_CELLS = "export_cells"

    UNKNOWN_OPCODE = "unknown_opcode"
    TRUNCATED_CODE = "truncated_code"
    LONG_IMMEDIATE = "long_immediate"
    WIDE_IMMEDIATE = "wide_immediate"
    BAD_MODE = "bad_mode"
    BAD_LOCAL = "bad_local"
    BAD_CALL = "bad_call"

    HEIGHT_MISMATCH = "height_mismatch"
    UNREACHABLE = "unreachable"
    UNDERFLOW = "underflow"
    RETURN_HEIGHT = "return_height"
    STACK_HEIGHT = "stack_height"
    JUMP_OUTSIDE = "jump_outside"
    JUMP_INTO_INSTRUCTION = "jump_into_instruction"
    FALLS_OFF = "falls_off"
    MAX_STACK = "max_stack"


def refusal(fault: Fault, message: str, *, at: int = -1, limit: str = "") -> BadContract:
    """The error to raise. `at` is an address in the code."""
    place = f"code byte {at}" if at >= 0 else "container"
    error = BadContract(message, field=place, limit=limit, fix="build the contract again from its source")
    error.fault = fault.value
    error.at = at
    return error
