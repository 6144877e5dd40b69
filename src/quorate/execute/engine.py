"""What every machine agrees on: limits, a task, how it ended, and the interface of an engine.

Limits are declared up front and enforced. Defaults and tiers: the design, section 4.3.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import blake3
import msgspec

from quorate.errors import InvalidField
from quorate.model.trap import Status
from quorate.model.units import LOG_BYTES_MAX, MIB, Digest

WASM_PAGE_BYTES = 65_536
FUEL_MAX = 2**62
MEMORY_BYTES_MAX = 2**32 - WASM_PAGE_BYTES
RUN_MS_MAX = 24 * 3600 * 1000
OUTPUT_BYTES_MAX = 64 * MIB
TURN_MS = 50
"""How long a worker goes on with a batch before it answers with what it has."""
TURN_BYTES = MIB
"""How many bytes of output and log it gathers before that."""
PURE = "pure"
COMMAND = "command"
CONTRACT = "contract"
MACHINE, TRANSLATION = CONTRACT_ENGINES = ("machine", "translation")
"""What runs bytecode contracts, see `contracts.runner`."""
PROFILES = (PURE, COMMAND)
"""Of programs that are entered once; a contract is called by function, with a state."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one run may use. `log_bytes` caps what is kept of the error stream: the rest is dropped, at the same byte
    everywhere.
    """

    memory_bytes: int = 64 * MIB
    fuel: int = 10**9
    run_ms: int = 30_000
    output_bytes: int = 4 * MIB
    log_bytes: int = LOG_BYTES_MAX

    def __post_init__(self) -> None:
        bounds = {
            "memory_bytes": (WASM_PAGE_BYTES, MEMORY_BYTES_MAX),
            "fuel": (1, FUEL_MAX),
            "run_ms": (1, RUN_MS_MAX),
            "output_bytes": (0, OUTPUT_BYTES_MAX),
            "log_bytes": (0, MIB),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InvalidField(f"{value} is out of range", field=name, limit=f"{low} to {high}")


DEFAULT = Limits()
LIGHT = Limits(memory_bytes=16 * MIB, fuel=10**8, run_ms=5_000)
FULL = Limits(memory_bytes=256 * MIB, fuel=10**10, run_ms=30_000)
TIERS = {"light": LIGHT, "full": FULL}


class Module(NamedTuple):
    """A module's bytes under their BLAKE3-256."""

    digest: Digest
    code: bytes


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One run to do. `id` is the caller's name for it, unique among the runs under way.

    `digest` is the BLAKE3 of `module`; a module that does not match is refused before any of it is read. `entry`
    empty means the profile's own (`run` or `_start`). `capabilities` are the deterministic stand-ins granted to the
    command profile. A call of a contract has its encoded `CallArguments` as `stdin` and in `world` an encoded
    `CallWorld`; its output is an encoded `CallOutcome`.
    command profile. `dependencies` are all modules that this one and they themselves import from.
    """

    id: bytes
    module: bytes
    digest: Digest
    profile: str = PURE
    entry: str = ""
    args: tuple[str, ...] = ()
    stdin: bytes = b""
    world: bytes = b""
    limits: Limits = DEFAULT
    capabilities: frozenset[str] = frozenset()
    dependencies: tuple[Module, ...] = ()

    @property
    def modules(self) -> tuple[Module, ...]:
        """All that the run needs, its own module last."""
        return (*self.dependencies, Module(self.digest, self.module))


class Batch(Task, frozen=True, kw_only=True):
    """Several runs of one program, handed over together: each input has a store, limits and a clock of its own.

    Not all of them need be run at once. The worker runs them in order for a short turn (`TURN_MS`, `TURN_BYTES`) and
    answers those that it finished, at least one; the caller asks for the rest again, so that other tasks get their
    turn. `stdin` is not used.
    """

    inputs: tuple[bytes, ...]


class End(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How one run of a batch ended, without what is measured for the batch as a whole."""

    status: Status
    exit_code: int
    output: bytes
    log: bytes
    fuel_used: int
    guest_memory_bytes: int


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended and what it used.

    The same on every honest executor when the status is votable: status, exit_code, output, log, fuel_used,
    guest_memory_bytes (the most linear memory the guest held). Measured here and never voted on: memory_peak_bytes
    (the kernel's peak resident size of the worker during the run), cpu_ms, wall_ms, layers (of the jail that held).
    `ends` are those of a batch, in the order of its inputs; the status of the whole is then success, or a failure.
    in_bytes is what the guest was given, its input and arguments; what it gave is output and log.
    """

    status: Status
    exit_code: int = 0
    output: bytes = b""
    log: bytes = b""
    fuel_used: int = 0
    guest_memory_bytes: int = 0
    memory_peak_bytes: int = 0
    cpu_ms: int = 0
    in_bytes: int = 0
    wall_ms: int = 0
    engine_version: str = ""
    layers: tuple[str, ...] = ()
    ends: tuple[End, ...] = ()


class Engine(Protocol):
    """Runs tasks in the order given, as many at once as it has slots.

    `run` raises UserError for a module or task that can never run and returns an Execution otherwise, failures
    included. `is_running` is true from the moment the guest has a slot. `cancel` answers only once the guest is gone;
    False when no such task is under way. `close` is idempotent and leaves no process.
    """

    async def start(self) -> None: ...

    async def run(self, task: Task) -> Execution: ...

    def is_running(self, task_id: bytes) -> bool: ...

    async def cancel(self, task_id: bytes) -> bool: ...

    async def close(self) -> None: ...


def module_digest(module: bytes) -> Digest:
    """The name of a program: the BLAKE3-256 of its bytes."""
    return Digest(blake3.blake3(module).digest())
