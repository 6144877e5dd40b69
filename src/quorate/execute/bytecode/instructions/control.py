"""JMP JZ JNZ CALL RET HALT ABORT: where the run goes on, and how it ends."""

from __future__ import annotations

from collections.abc import Callable

from quorate.execute.bytecode.host import Trapped
from quorate.execute.bytecode.machine import Machine
from quorate.execute.bytecode.opcodes import Op, Trap


def jump(m: Machine) -> None:
    # stack: takes nothing
    # cost
    m.charge(Op.JMP)
    # operation
    target = m.instruction.immediate
    # program counter
    m.pc = target


def jump_if_zero(m: Machine) -> None:
    # stack
    flag = m.pop()
    # cost
    m.charge(Op.JZ)
    # operation
    taken = flag == 0
    # program counter
    m.pc = m.instruction.immediate if taken else m.instruction.after


def jump_if_not_zero(m: Machine) -> None:
    # stack
    flag = m.pop()
    # cost
    m.charge(Op.JNZ)
    # operation
    taken = flag != 0
    # program counter
    m.pc = m.instruction.immediate if taken else m.instruction.after


def call(m: Machine) -> None:
    """The depth is checked before the stack. The arguments become the first locals of the callee."""
    # stack
    callee = m.contract.container.functions[m.instruction.immediate]
    # cost
    m.charge(Op.CALL)
    # operation
    m.call(callee)
    # program counter: `call` has set it to the start of the callee


def ret(m: Machine) -> None:
    # stack: the whole stack is the results
    # cost
    m.charge(Op.RET)
    # operation
    m.leave()
    # program counter: `leave` has set it to the instruction after the call, or the run has ended


def halt(m: Machine) -> None:
    """Ends the whole run with success, from any depth, without results."""
    # stack: what is on it is dropped
    # cost
    m.charge(Op.HALT)
    # operation
    m.end(())
    # program counter: the run has ended


def abort(m: Machine) -> None:
    # stack
    code = m.pop()
    # cost
    m.charge(Op.ABORT)
    # operation
    raise Trapped(Trap.ABORTED, code)


INSTRUCTIONS: dict[Op, Callable[[Machine], None]] = {
    Op.JMP: jump,
    Op.JZ: jump_if_zero,
    Op.JNZ: jump_if_not_zero,
    Op.CALL: call,
    Op.RET: ret,
    Op.HALT: halt,
    Op.ABORT: abort,
}
