"""Runs WebAssembly contracts on wasmtime: an instance in a store of its own for each call, under the settings, the
guard and the memory of `wasm/wasmtime_engine.py`.

One cycle is one unit of wasmtime's fuel. Cycles are exact where the engine's figure is: when a run returned, ended at
`unreachable`, or was ended by the host. Any other trap costs the whole limit, as running out does. Where a run stood is
not told: `pc` is always 0.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final, NamedTuple

import wasmtime
from wasmtime import _bindings as bindings

from quorate.errors import TooLarge, UnknownFunction
from quorate.execute.bytecode.arguments import Placed, check_arguments, place_arguments
from quorate.execute.bytecode.host import Call, Context, Outcome, Status, Trapped, Unresolved
from quorate.execute.bytecode.journal import Journal
from quorate.execute.bytecode.opcodes import Trap
from quorate.execute.bytecode.state import State
from quorate.execute.contract_wasm import abi
from quorate.execute.contract_wasm.calls import Session
from quorate.execute.contract_wasm.declaration import Interface, interface_of
from quorate.execute.wasm.wasi import FUEL_RESERVE
from quorate.execute.wasm.wasmtime_engine import TABLE_ELEMENTS_MAX, TABLES_MAX, HostFault, Program, WasmtimeEngine

_TRAPS: Final = {
    "OUT_OF_FUEL": Trap.OUT_OF_CYCLES,
    "MEMORY_OUT_OF_BOUNDS": Trap.MEMORY_RANGE,
    "TABLE_OUT_OF_BOUNDS": Trap.MEMORY_RANGE,
    "INTEGER_DIVISION_BY_ZERO": Trap.DIVISION_BY_ZERO,
    "INTEGER_OVERFLOW": Trap.OVERFLOW,
    "BAD_CONVERSION_TO_INTEGER": Trap.OVERFLOW,
    "INDIRECT_CALL_TO_NULL": Trap.INDIRECT_CALL,
    "BAD_SIGNATURE": Trap.INDIRECT_CALL,
}
_UNSIGNED: Final = 0xFFFF_FFFF
_NO_FINALIZER: Any = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))


class NativeStackOverflow(Exception):
    """The native stack was too small for a run. How much it takes is the compiler's affair, so that this is a failure
    and no outcome."""


class Compiled(NamedTuple):
    """A contract with its machine code."""

    interface: Interface
    module: wasmtime.Module
    linked: wasmtime.InstancePre
    memory_bytes_min: int


class _Run(NamedTuple):
    """One run under way. `limit` is the most cycles it may pay."""

    interface: Interface
    session: Session
    store: wasmtime.Store
    limit: int

    @property
    def paid(self) -> int:
        return self.limit + FUEL_RESERVE - self.store.get_fuel()


class ContractEngine:
    """Compiles contracts and runs them, on the engine that runs other programs. Not thread-safe: one guest at a time,
    of whatever kind."""

    def __init__(self, engine: WasmtimeEngine) -> None:
        self._engine = engine
        self._linker = wasmtime.Linker(engine.native)
        self._session: Session | None = None
        self._ending: BaseException | None = None
        self._imports = [self._define(name, function) for name, function in abi.IMPORTS.items()]

    def compile(self, module: bytes) -> Compiled:
        """Raises what `declaration.interface_of` raises, and MalformedModule for a module that does not validate. May
        take long: the caller holds a clock over this process."""
        interface = interface_of(module)
        return self._compiled(interface, self._engine.compile(module))

    def load(self, module: bytes, artefact: bytes) -> Compiled:
        """Like `compile`, from an artefact of this engine. The caller vouches for it: it is native code that nothing
        checks again."""
        return self._compiled(interface_of(module), self._engine.load(module, artefact))

    def artefact(self, compiled: Compiled) -> bytes:
        return bytes(compiled.module.serialize())

    @property
    def guest_memory_bytes(self) -> int:
        """The most linear memory that the last run held."""
        return self._engine.memory.held_bytes

    def run(self, compiled: Compiled, call: Call, state: State | None, context: Context) -> Outcome:
        """Calls a function. `state` is None where the node does not have it: a run that asks for it ends UNRESOLVED.
        Raises UnknownFunction, WrongArguments, TooLarge; HostFault when this machine fails, NativeStackOverflow;
        everything else is an Outcome."""
        interface, contract = compiled.interface, compiled.interface.contract
        function = interface.function_named(call.function)
        if function is None:
            raise UnknownFunction(f"the contract has no function {call.function!r}", field="function")
        parameters = [(parameter.name, parameter.kind == "bytes") for parameter in function.parameters]
        check_arguments(function.name, parameters, call.arguments)
        if state is not None and state.size > contract.max_state_bytes:
            raise TooLarge(f"{state.size} bytes", field="state", limit=f"{contract.max_state_bytes} bytes")
        placed = place_arguments(call.arguments, interface.arguments_at, interface.arguments_end)
        limit = min(call.cycles_max, contract.max_cycles)
        memory = self._engine.memory
        memory.begin(contract.max_memory_bytes, compiled.memory_bytes_min)
        store = wasmtime.Store(self._engine.native)
        try:
            journal = Journal(state, context, contract.max_state_bytes)
            session = Session(journal, contract.max_state_bytes, memory, store)
            outcome = self._run(_Run(interface, session, store, limit), compiled.linked, function.name, placed)
        finally:
            self._session = None
            store.close()
        if memory.host_failed:
            raise HostFault("this machine could not deliver the memory that the contract declares")
        return outcome

    def _run(self, run: _Run, linked: wasmtime.InstancePre, name: str, placed: Placed) -> Outcome:
        run.store.set_limits(table_elements=TABLE_ELEMENTS_MAX, instances=1, tables=TABLES_MAX, memories=1)
        run.store.set_fuel(run.limit + FUEL_RESERVE)
        self._session, self._ending = run.session, None
        try:
            instance = linked.instantiate(run.store)
            for at, data in placed.data:
                self._engine.memory.write(at, data)
            results = _exported(run.store, instance, name)(run.store, *placed.cells)
        except wasmtime.Trap as trap:
            return self._trapped(run, trap)
        except wasmtime.WasmtimeError as fault:
            raise HostFault(f"the engine failed: {str(fault)[:200]}") from None
        return self._ended(run, results)

    def _compiled(self, interface: Interface, program: Program) -> Compiled:
        linked = self._linker.instantiate_pre(program.module)
        return Compiled(interface, program.module, linked, program.memory_bytes_min)

    def _ended(self, run: _Run, results: Any) -> Outcome:
        """The outcome of a run that has returned, or said that it is done."""
        answer, journal = self._answer(run), run.session.journal
        try:
            run.session.pay(0)
            if answer.emitted_size:
                run.session.emit(answer.emitted_at, answer.emitted_size)
        except Trapped as end:
            return _trap(run, end.trap)
        return Outcome(
            Status.OK,
            Trap.NONE,
            0,
            run.paid,
            results=tuple(results) if isinstance(results, list) else () if results is None else (results,),
            logs=tuple(journal.logs),
            emitted=bytes(journal.emitted),
            changes=journal.changes(),
            transfers=tuple(journal.transfers),
        )

    def _trapped(self, run: _Run, trap: wasmtime.Trap) -> Outcome:
        if self._ending is not None:
            return _ended_by_host(run, self._ending)
        code = trap.trap_code
        if code is wasmtime.TrapCode.STACK_OVERFLOW:
            raise NativeStackOverflow
        if code is wasmtime.TrapCode.UNREACHABLE:
            return self._stopped(run)
        found = _TRAPS.get(code.name) if code is not None else None
        if found is None:
            raise HostFault(f"the engine trapped in a way that has no name here: {trap.message[:200]}")
        return Outcome(Status.TRAP, found, 0, run.limit)

    def _stopped(self, run: _Run) -> Outcome:
        """The outcome of a run that has ended at `unreachable`, by what it says of itself."""
        answer = self._answer(run)
        if answer.end == abi.DONE:
            return self._ended(run, None)
        if run.paid > run.limit:
            return _trap(run, Trap.OUT_OF_CYCLES)
        if answer.end == 0 and self._engine.memory.refused:
            return _trap(run, Trap.MEMORY_RANGE)
        return _trap(run, abi.NAMED_TRAPS.get(answer.end, Trap.ABORTED), answer.code)

    def _answer(self, run: _Run) -> abi.Answer:
        at = run.interface.answer_at
        data = self._engine.memory.read(at, abi.ANSWER_FORM.size) if at is not None else None
        return abi.Answer(*abi.ANSWER_FORM.unpack(data)) if data is not None else abi.Answer(0, 0, 0, 0)

    def _define(self, name: str, function: abi.HostFunction) -> Any:
        """By the C interface: exceptions of the package's own host functions can disturb other threads. The callback is
        returned because nothing else keeps it alive."""
        kinds = [[getattr(wasmtime.ValType, kind)() for kind in side] for side in function.signature]
        kind, host = wasmtime.FuncType(*kinds), self._callback(name, function)
        error = bindings.wasmtime_linker_define_func_unchecked(
            self._linker.ptr(), *_text(abi.MODULE), *_text(name), kind.ptr(), host, None, _NO_FINALIZER
        )
        if error:
            raise HostFault(f"the engine refused {name}")
        return host

    def _callback(self, name: str, function: abi.HostFunction) -> Any:
        wide = [kind == "i64" for kind in function.signature.params]

        @bindings.wasmtime_func_unchecked_callback_t  # type: ignore[untyped-decorator]
        def host(environment: Any, caller: Any, values: Any, count: int) -> int:
            # Nothing may be raised through native code: a trap ends the guest, and what it means is kept here.
            try:
                assert self._session is not None
                operands = tuple(
                    values[at].i64 if is_wide else values[at].i32 & _UNSIGNED for at, is_wide in enumerate(wide)
                )
                result = self._session.call(name, operands)
                if function.signature.results == ("i64",):
                    values[0].i64 = result
                elif function.signature.results:
                    values[0].i32 = result
            except BaseException as ending:
                self._ending = ending
                trap = bindings.wasmtime_trap_new_code(wasmtime.TrapCode.INTERRUPT.value)
                return ctypes.cast(trap, ctypes.c_void_p).value or 0
            return 0

        return host


def _exported(store: wasmtime.Store, instance: wasmtime.Instance, name: str) -> wasmtime.Func:
    """The package looks at all exports to find one, and a module may have thousands."""
    item, word = bindings.wasmtime_extern_t(), name.encode()
    if not bindings.wasmtime_instance_export_get(store._context(), instance._instance, word, len(word), item):
        raise HostFault(f"the engine does not find {name}")
    return wasmtime.Func._from_raw(item.of.func)


def _text(text: str) -> tuple[Any, int]:
    """A text as the C interface takes it."""
    return ctypes.create_string_buffer(text.encode()), len(text)


def _trap(run: _Run, trap: Trap, code: int = 0) -> Outcome:
    paid = run.limit if trap is Trap.OUT_OF_CYCLES else run.paid
    return Outcome(Status.TRAP, trap, 0, paid, code if trap is Trap.ABORTED else 0)


def _ended_by_host(run: _Run, ending: BaseException) -> Outcome:
    if isinstance(ending, Trapped):
        return _trap(run, ending.trap)
    if isinstance(ending, Unresolved):
        return Outcome(Status.UNRESOLVED, Trap.NONE, 0, run.paid)
    raise HostFault("a host call failed") from ending
