"""Runs translated contracts on wasmtime: one instance in a store of its own for each run.

The settings do not reach outcomes: the module has no floats and no fuel, and counts its own cycles. How deep native
frames may stack is the compiler's affair; a run that meets that limit, which 1,024 cells hardly can, is begun again in
the reference.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final, NamedTuple

import wasmtime
from wasmtime import _bindings as bindings

from quorate.execute.bytecode import reference
from quorate.execute.bytecode.host import Call, Context, EngineFault, Outcome
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.translate.module import IMPORT, Translation, translate
from quorate.execute.bytecode.translate.session import Session
from quorate.execute.bytecode.verify import Contract
from quorate.execute.wasm.wasmtime_engine import COMPACT_SETTINGS, address_space_is_wide

WASM_STACK_BYTES_MAX: Final = 1 << 20
SETTINGS: Final[dict[str, Any]] = {
    "cranelift_opt_level": "speed",
    "max_wasm_stack": WASM_STACK_BYTES_MAX,
    "parallel_compilation": False,
    "epoch_interruption": False,
    "consume_fuel": False,
}
_NO_FINALIZER: Any = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))


class Program(NamedTuple):
    """A translation with its machine code."""

    translation: Translation
    module: wasmtime.Module
    linked: wasmtime.InstancePre


def _config() -> wasmtime.Config:
    config = wasmtime.Config()
    compact = {} if address_space_is_wide() else COMPACT_SETTINGS
    for name, value in {**SETTINGS, **compact}.items():
        setattr(config, name, value)
    bindings.wasmtime_config_wasm_branch_hinting_set(config.ptr(), True)
    return config


class TranslationEngine:
    """Compiles contracts and runs them. Not thread-safe: one run at a time."""

    def __init__(self) -> None:
        self._engine = wasmtime.Engine(_config())
        self._linker = wasmtime.Linker(self._engine)
        self._session: Session | None = None
        self._failure: BaseException | None = None
        self._host = self._host_call()
        self._define_host()

    def compile(self, contract: Contract) -> Program:
        """Raises TooLarge for a contract whose translation is too large."""
        translation = translate(contract)
        return self._program(translation, wasmtime.Module(self._engine, translation.module))

    def artefact(self, program: Program) -> bytes:
        """The machine code, for `load`."""
        return bytes(program.module.serialize())

    def load(self, contract: Contract, artefact: bytes) -> Program:
        """Like `compile`, from an artefact of this engine and this contract. The caller vouches for it: it is native
        code that nothing checks again."""
        return self._program(translate(contract), wasmtime.Module.deserialize(self._engine, artefact))

    def _program(self, translation: Translation, module: wasmtime.Module) -> Program:
        return Program(translation, module, self._linker.instantiate_pre(module))

    def run(self, program: Program, call: Call, state: State | None, context: Context) -> Outcome:
        """The outcome that the reference gives. Raises UnknownFunction, WrongArguments, TooLarge as it does, and
        EngineFault."""
        session = Session(program.translation, call, state, context)
        self._failure = None
        store = wasmtime.Store(self._engine)
        try:
            self._session = session
            outcome = self._run(store, program, session, call.function)
        except wasmtime.WasmtimeError as fault:
            raise EngineFault(f"wasmtime failed: {str(fault)[:200]}") from None
        finally:
            self._session = None
            store.close()
        if outcome is None:
            return reference.run(program.translation.contract, call, state, context)
        return outcome

    def _run(self, store: wasmtime.Store, program: Program, session: Session, name: str) -> Outcome | None:
        """None if the native stack was too small."""
        names = [export.name for export in program.translation.contract.container.exports]
        exports: Any = program.linked.instantiate(store).exports(store)
        pointer = exports["memory"].data_ptr(store)
        size = exports["memory"].data_len(store)
        memory = memoryview((ctypes.c_ubyte * size).from_address(ctypes.addressof(pointer.contents))).cast("B")
        session.attach(memory)
        try:
            exports[f"call_{names.index(name)}"](store)
        except wasmtime.Trap as trap:
            if self._failure is not None:
                raise EngineFault("the host failed") from self._failure
            if trap.trap_code is wasmtime.TrapCode.STACK_OVERFLOW:
                return None
            if trap.trap_code is not wasmtime.TrapCode.UNREACHABLE:
                raise EngineFault(f"the module trapped: {trap.message[:200]}") from None
            return session.stopped()
        return session.returned()

    def _host_call(self) -> Any:
        @bindings.wasmtime_func_unchecked_callback_t  # type: ignore[untyped-decorator]
        def host(environment: Any, caller: Any, values: Any, count: int) -> int:
            # Nothing may be raised through native code; the module stops itself at a negative answer.
            try:
                assert self._session is not None
                values[0].i64 = self._session.host(values[0].i32, values[1].i64)
            except BaseException as failure:
                self._failure = failure
                values[0].i64 = -1
            return 0

        return host

    def _define_host(self) -> None:
        """By the C interface: the package's own way takes 13 microseconds a call."""
        kind = wasmtime.FuncType([wasmtime.ValType.i32(), wasmtime.ValType.i64()], [wasmtime.ValType.i64()])
        module, name = (ctypes.create_string_buffer(part.encode()) for part in IMPORT)
        sizes = [len(part) for part in IMPORT]
        error = bindings.wasmtime_linker_define_func_unchecked(
            self._linker.ptr(), module, sizes[0], name, sizes[1], kind.ptr(), self._host, None, _NO_FINALIZER
        )
        if error:
            raise EngineFault("the host function was refused")
