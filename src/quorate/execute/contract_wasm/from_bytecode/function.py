"""One function of a contract, with imports where the machine's own translation lets the host act."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from quorate.execute.bytecode.decoding import Instruction
from quorate.execute.bytecode.opcodes import DIGEST_BYTES, ID_BYTES, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Op, Trap
from quorate.execute.bytecode.translate.function import FunctionTranslation
from quorate.execute.bytecode.translate.storage import check_range
from quorate.execute.bytecode.translate.writer import W
from quorate.execute.bytecode.verify import Contract
from quorate.execute.contract_wasm.from_bytecode.emitter import ContractEmitter


def _load_state(e: ContractEmitter) -> None:
    room, out, key_size, key = e.pop(), e.pop(), e.pop(), e.pop()
    e.check_key(key, key_size)
    e.check_span(out, room)
    e.ask("mehr_store_load", key, key_size, out, room)
    e.code.raw(W.I64_EXTEND_I32_S)
    e.operands.store()


def _store_state(e: ContractEmitter) -> None:
    size, source, key_size, key = e.pop(), e.pop(), e.pop(), e.pop()
    e.check_key(key, key_size)
    e.check_span(source, size, or_removes=True)
    e.ask("mehr_store_save", key, key_size, source, size)


def _hash(e: ContractEmitter) -> None:
    out, size, data = e.pop(), e.pop(), e.pop()
    e.check_span(data, size)
    check_range(e, out, DIGEST_BYTES)
    e.ask("mehr_hash", data, size, out)


def _verify_signature(e: ContractEmitter) -> None:
    signature, key, size, message = e.pop(), e.pop(), e.pop(), e.pop()
    e.check_span(message, size)
    check_range(e, key, PUBLIC_KEY_BYTES)
    check_range(e, signature, SIGNATURE_BYTES)
    e.ask("mehr_verify_sig", key, message, size, signature)
    e.code.raw(W.I64_EXTEND_I32_U)
    e.operands.store()


def _balance(e: ContractEmitter) -> None:
    account = e.pop()
    check_range(e, account, ID_BYTES)
    e.ask("mehr_balance", account)
    e.operands.store()


def _transfer(e: ContractEmitter) -> None:
    amount, to = e.pop(), e.pop()
    e.write(amount, 0, W.I64_LT_S)
    e.trap_if(Trap.AMOUNT_RANGE)
    check_range(e, to, ID_BYTES)
    e.write(to, W.I32_WRAP_I64, amount)
    e.ask("mehr_transfer")
    e.code.raw(W.I64_EXTEND_I32_U)
    e.operands.store()


def _log(e: ContractEmitter) -> None:
    size, data = e.pop(), e.pop()
    e.check_span(data, size)
    e.ask("mehr_log", data, size)


def _emit(e: ContractEmitter) -> None:
    size, data = e.pop(), e.pop()
    e.check_span(data, size)
    e.write(data, size)
    e.code.call(e.places.emit)


def _sender(e: ContractEmitter) -> None:
    _own_place(e, "mehr_sender")


def _own_id(e: ContractEmitter) -> None:
    _own_place(e, "mehr_self")


def _own_place(e: ContractEmitter, name: str) -> None:
    out = e.pop()
    check_range(e, out, ID_BYTES)
    e.ask(name, out)


def _epoch(e: ContractEmitter) -> None:
    e.ask("mehr_epoch")
    e.operands.store()


HOSTED: Final[dict[Op, tuple[str, Callable[[ContractEmitter], None]]]] = {
    Op.HASH: ("mehr_hash", _hash),
    Op.VERIFY_SIG: ("mehr_verify_sig", _verify_signature),
    Op.BALANCE: ("mehr_balance", _balance),
    Op.SENDER: ("mehr_sender", _sender),
    Op.SELF: ("mehr_self", _own_id),
    Op.EPOCH: ("mehr_epoch", _epoch),
    Op.TRANSFER: ("mehr_transfer", _transfer),
    Op.LOG: ("mehr_log", _log),
    Op.LOAD: ("mehr_store_load", _load_state),
    Op.STORE: ("mehr_store_save", _store_state),
}
"""What an import does, by the opcode that it stands for; LOAD and STORE of state only."""


class ContractFunction(FunctionTranslation):
    """Writes the function of a `ContractEmitter`."""

    def __init__(self, contract: Contract, emitter: ContractEmitter) -> None:
        super().__init__(contract, emitter)
        self.emitter = emitter

    def written_inside(self, index: int) -> FunctionTranslation:
        inner = ContractEmitter(self.e.parts, index, self.emitter.places, self.emitter)
        return ContractFunction(self.contract, inner)

    def other(self, instruction: Instruction) -> None:
        if instruction.op in HOSTED:
            self.host(instruction)
        else:
            super().other(instruction)

    def host(self, instruction: Instruction) -> None:
        if instruction.op is Op.EMIT:
            _emit(self.emitter)
        else:
            HOSTED[instruction.op][1](self.emitter)
