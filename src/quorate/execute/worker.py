"""A worker process: imports all it needs, warms the engine, locks itself in, then runs one guest after another.

Started by the pool as `python -I -m quorate.execute.worker` with one descriptor: its end of a socket pair, as
standard input. It ends when the pool closes the other end, when it is killed, or when the machine fails under a
guest. Deadlines are the pool's; an alarm that the kernel delivers stands behind them, for the case that the pool
itself is stopped.

Nothing is imported, opened or looked up after the jail stands: modules needed late are imported here, at the top.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from quorate.errors import BadContract, InvalidField, QuorateError, UnsupportedMachine, UserError
from quorate.execute import frames, jail
from quorate.execute.contracts.runner import CallRunner, Ready, is_contract
from quorate.execute.engine import CONTRACT, TURN_BYTES, TURN_MS, End, Limits, Task, module_digest
from quorate.execute.wasm.linking import import_name
from quorate.execute.wasm.wasmtime_engine import Ended, HostFault, Program, WasmtimeEngine, wat_to_wasm
from quorate.model.trap import FAILURES
from quorate.model.units import MIB, Digest

CHANNEL = 0
STACK_BYTES_MIN = 4 * MIB
STACK_BYTES_WANTED = 8 * MIB
ALARM_GRACE_S = 2.0
EXIT_HOST_FAULT = 70

_WARM_UP = """(module (memory (export "memory") 1) (table 1 funcref)
  (func (export "run") (result i32) (drop (memory.grow (i32.const 1))) (i32.load (i32.const 8)))
  (func (export "spin") (loop (br 0)))
  (func (export "deep") (call 2))
  (func (export "outside") (drop (i32.load (i32.const -8))))
  (func (export "stop") unreachable)
  (func (export "zero") (drop (i32.div_u (i32.const 1) (i32.const 0)))))"""

_WARM_UP_LINKED = '(module (import "{}" "run" (func (result i32))) (export "run" (func 0)))'
_WARM_UP_LIMITS = Limits(fuel=10**6)


Linked: TypeAlias = tuple[Program, dict[Digest, Program]]
"""A program and its dependencies."""


class PeakMeter:
    """The kernel's own peak of resident memory for this process, reset before each run (proc(5): clear_refs, VmHWM).

    Both files are opened before the jail stands. Where /proc is not there the peak is that of the whole process life.
    """

    def __init__(self) -> None:
        try:
            self._reset = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
            self._status = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._reset = self._status = -1

    def reset(self) -> None:
        if self._reset >= 0:
            os.pwrite(self._reset, b"5", 0)

    def peak_bytes(self) -> int:
        if self._status < 0:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        text = os.pread(self._status, 4096, 0)
        at = text.find(b"VmHWM:")
        return int(text[at + 6 : text.find(b"kB", at)]) * 1024 if at >= 0 else 0


class Worker:
    """The loop. Programs are kept by digest until the pool says to forget them; a bad module is kept as its error."""

    calls: CallRunner
    """Set before anything is served, as the pool wants it."""

    def __init__(self, engine: WasmtimeEngine, meter: PeakMeter) -> None:
        self._engine = engine
        self._meter = meter
        self._programs: dict[bytes, Program | Ready | QuorateError] = {}
        self._inbox = frames.Inbox(frames.ToWorker)
        self._waiting: deque[frames.Frame] = deque()
        self._poll = select.poll()
        self._poll.register(CHANNEL, select.POLLIN)

    def serve(self) -> None:
        """Handles frames until the pool goes away."""
        while True:
            if not self._waiting or self._poll.poll(0):
                data = os.read(CHANNEL, frames.READ_BYTES)
                if not data:
                    return
                self._accept(data)
            if self._waiting:
                self._handle(self._waiting.popleft())

    def receive_setup(self) -> frames.Setup:
        while not self._waiting:
            data = os.read(CHANNEL, frames.READ_BYTES)
            if not data:
                os._exit(0)
            self._accept(data)
        setup = self._waiting.popleft()
        assert isinstance(setup, frames.Setup)
        return setup

    def _accept(self, data: bytes) -> None:
        for frame in self._inbox.feed(data):
            if isinstance(frame, frames.Withdraw):
                self._withdraw(frame.number)
            else:
                self._waiting.append(frame)

    def _withdraw(self, number: int) -> None:
        for frame in self._waiting:
            if isinstance(frame, frames.Run) and frame.number == number:
                self._waiting.remove(frame)
                send(frames.Withdrawn(number))
                return

    def _handle(self, frame: frames.Frame) -> None:
        if isinstance(frame, frames.Run):
            self._run(frame)
        elif isinstance(frame, frames.Load):
            self._load(frame)
        elif isinstance(frame, frames.Forget):
            self._programs.pop(frame.digest, None)

    def _load(self, order: frames.Load) -> None:
        artefact = b""
        try:
            if module_digest(order.module) != order.digest:
                raise HostFault("the pool sent a module under another digest")
            program = self._program(order)
            self._programs[order.digest] = program
            if isinstance(program, Ready):
                artefact = program.artefact
            elif order.wants_artefact and not order.artefact:
                artefact = self._engine.artefact(program)
        except UserError as fault:
            self._programs[order.digest] = fault
        if order.number != frames.UNANSWERED:
            send(frames.Loaded(order.number, artefact))

    def _program(self, order: frames.Load) -> Program | Ready:
        if not order.artefact:
            return self._made(order, b"")
        try:
            return self._made(order, order.artefact)
        except UserError:
            raise
        except Exception:
            # An artefact of another build of the engine: authentic, and of no use.
            return self._made(order, b"")

    def _made(self, order: frames.Load, artefact: bytes) -> Program | Ready:
        if is_contract(order.module):
            return self.calls.load(order.module, artefact, wants_artefact=order.wants_artefact and not artefact)
        return self._engine.load(order.module, artefact) if artefact else self._engine.compile(order.module)

    def _run(self, order: frames.Run) -> None:
        task = Task(
            id=order.id,
            module=b"",
            digest=Digest(order.digest),
            profile=order.profile,
            entry=order.entry,
            args=order.args,
            stdin=order.stdin,
            world=order.world,
            limits=order.limits,
            capabilities=order.capabilities,
        )
        try:
            program = self._programs.get(order.digest)
            if isinstance(program, Ready):
                return send(self._called(order, program, task))
            if order.profile == CONTRACT and isinstance(program, Program):
                raise BadContract(
                    "the module declares no contract", field="program", fix="see docs/spec/contract-wasm.md"
                )
            linked = self._found(order)
            if isinstance(linked, frames.Refused):
                return send(linked)
            if isinstance(order, frames.RunBatch):
                return send(self._turn(order, linked, task))
            return send(self._measured(order.number, lambda: self._engine.run(linked[0], task, linked[1]), task))
        except UserError as fault:
            return send(_refusal(order.number, fault, fault.field))

    def _found(self, order: frames.Run) -> Linked | frames.Refused:
        """The program and its dependencies; the refusal when one of them is no module."""
        found: dict[Digest, Program] = {}
        for digest in (*order.dependencies, order.digest):
            program = self._programs.get(digest)
            if isinstance(program, Ready):
                program = UserError("a contract, which is linked with nothing", field="dependencies")
            if isinstance(program, QuorateError):
                field = program.field if digest == order.digest else "dependencies"
                return _refusal(order.number, program, field)
            if program is None:
                raise HostFault("the pool named a module that it never sent")
            found[Digest(digest)] = program
        return found.pop(Digest(order.digest)), found

    def _called(self, order: frames.Run, contract: Ready, task: Task) -> frames.Done | frames.Refused:
        if order.profile != CONTRACT:
            raise InvalidField(order.profile, field="profile", limit="contract, for a contract")
        if isinstance(order, frames.RunBatch) or order.dependencies:
            fault = UserError("a contract is called by itself, once at a time", field="elements", limit="1")
            return _refusal(order.number, fault, fault.field)
        return self._measured(order.number, lambda: self.calls.run(contract, task), task)

    def _measured(self, number: int, run: Callable[[], Ended], task: Task) -> frames.Done:
        wall, cpu = self._begin(task.limits.run_ms)
        ended = run()
        cpu, wall = time.process_time_ns() - cpu, time.monotonic_ns() - wall
        signal.setitimer(signal.ITIMER_REAL, 0)
        return frames.Done(
            number, ended.status, ended.exit_code, ended.output, ended.log, ended.fuel_used, ended.guest_memory_bytes,
            self._meter.peak_bytes(), cpu // 1000, wall // 1000,
        )  # fmt: skip

    def _turn(self, order: frames.RunBatch, linked: Linked, task: Task) -> frames.DoneBatch:
        """Runs of a batch until its turn is over: meters and alarm are set once for all of them."""
        program, dependencies = linked
        wall, cpu = self._begin(task.limits.run_ms + TURN_MS)
        ends, kept, until = [], 0, wall + TURN_MS * 1_000_000
        for ended in self._engine.run_each(program, task, order.inputs, dependencies):
            ends.append(
                End(ended.status, ended.exit_code, ended.output, ended.log, ended.fuel_used, ended.guest_memory_bytes)
            )
            kept += len(ended.output) + len(ended.log)
            if ended.status in FAILURES or kept >= TURN_BYTES or time.monotonic_ns() >= until:
                break
        cpu, wall = time.process_time_ns() - cpu, time.monotonic_ns() - wall
        signal.setitimer(signal.ITIMER_REAL, 0)
        return frames.DoneBatch(order.number, tuple(ends), self._meter.peak_bytes(), cpu // 1000, wall // 1000)

    def _begin(self, run_ms: int) -> tuple[int, int]:
        """Resets the meter and sets the alarm; the clocks as they stand now."""
        self._meter.reset()
        signal.setitimer(signal.ITIMER_REAL, run_ms / 1000 + ALARM_GRACE_S)
        return time.monotonic_ns(), time.process_time_ns()


def send(frame: frames.Frame) -> None:
    rest = memoryview(frames.encode(frame))
    while rest:
        rest = rest[os.write(CHANNEL, rest) :]


def _refusal(number: int, fault: QuorateError, field: str) -> frames.Refused:
    return frames.Refused(number, type(fault).__name__, fault.message, field, fault.limit, fault.fix)


def ensure_stack() -> None:
    """The guest's stack is part of this thread's: too small a thread stack would turn deep recursion into a crash."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft == resource.RLIM_INFINITY or soft >= STACK_BYTES_MIN:
        return
    wanted = STACK_BYTES_WANTED if hard == resource.RLIM_INFINITY else min(hard, STACK_BYTES_WANTED)
    if wanted < STACK_BYTES_MIN:
        raise UnsupportedMachine(
            f"the stack limit is {hard} bytes",
            field="stack",
            limit=f"at least {STACK_BYTES_MIN} bytes",
            fix="raise ulimit -Hs",
        )
    resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))


def warm_up(engine: WasmtimeEngine) -> None:
    """Meets every kind of ending once, so that nothing is set up lazily behind the jail."""
    module = wat_to_wasm(_WARM_UP)
    digest, program = module_digest(module), engine.compile(module)
    engine.load(module, engine.artefact(program))
    for entry in ("run", "spin", "deep", "outside", "stop", "zero"):
        engine.run(program, Task(id=b"", module=b"", digest=digest, entry=entry, limits=_WARM_UP_LIMITS))
    importer = wat_to_wasm(_WARM_UP_LINKED.format(import_name(digest)))
    task = Task(id=b"", module=b"", digest=module_digest(importer), limits=_WARM_UP_LIMITS)
    engine.run(engine.compile(importer), task, {digest: program})


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # An interrupt at the terminal is the pool's to handle.
    try:
        ensure_stack()
        engine = WasmtimeEngine()
        worker = Worker(engine, PeakMeter())
        setup = worker.receive_setup()
        worker.calls = CallRunner(engine, setup.contract_engine)
        warm_up(engine)
        gc.collect()
        gc.freeze()
        held = jail.apply(jail.JailPolicy(data_bytes=setup.data_bytes, parent=setup.parent, niceness=setup.niceness))
    except (QuorateError, OSError, ValueError) as fault:
        send(frames.Unfit(str(fault)))
        sys.exit(EXIT_HOST_FAULT)
    send(frames.Ready(held, engine.version, engine.artefact_kind))
    try:
        worker.serve()
    except BaseException:
        os._exit(EXIT_HOST_FAULT)
    os._exit(0)


if __name__ == "__main__":
    main()
