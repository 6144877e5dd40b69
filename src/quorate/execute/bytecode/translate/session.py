"""One run of a translated contract, as the host sees it: what goes into the exchange area, what the host carries out,
and how a stop becomes an outcome.

Everything that is not plain computation is done by the reference's own instructions on the reference's own machine and
journal, over the module's memory; so is the end of a segment that cannot be paid.
"""

from __future__ import annotations

import struct
from typing import Final

from quorate.execute.bytecode.container import ALIGNMENT
from quorate.execute.bytecode.host import Call, Context, EngineFault, Outcome, Status, Trapped, Unresolved
from quorate.execute.bytecode.machine import Frame
from quorate.execute.bytecode.opcodes import TABLE, Trap
from quorate.execute.bytecode.reference import INSTRUCTIONS, finish, start
from quorate.execute.bytecode.state import State
from quorate.execute.bytecode.translate import layout
from quorate.execute.bytecode.translate.emission import Site, Stop
from quorate.execute.bytecode.translate.module import Translation
from quorate.execute.bytecode.verify import effect_of

_HEAD: Final = struct.Struct("<IIqq16s16s")
_NOWHERE: Final = 0xFFFF_FFFF


class Session:
    """Raises UnknownFunction, WrongArguments, TooLarge as the reference does."""

    def __init__(self, translation: Translation, call: Call, state: State | None, context: Context) -> None:
        self.translation = translation
        self.machine = start(translation.contract, call, state, context)
        self.limit = self.machine.left
        self._call, self._context = call, context
        self._refused = False
        """Whether the machine stands before an instruction of the host that ends the run."""
        self._memory = memoryview(b"")
        self._exchange = layout.exchange_of(translation.contract.container)

    def attach(self, memory: memoryview) -> None:
        """Takes the zeroed memory of a fresh instance, and puts in what the run is given."""
        container = self.translation.contract.container
        sizes = [len(one) + -len(one) % ALIGNMENT for one in self._call.arguments if isinstance(one, bytes)]
        used = min(container.max_memory, max(len(container.data), container.reserved + sum(sizes)))
        memory[:used] = self.machine.memory[:used]
        self.machine.memory = memory[: container.max_memory]
        self._memory = memory
        context = self._context
        head = (_NOWHERE, 0, self.limit, context.epoch, context.sender, context.self_id)
        _HEAD.pack_into(memory, self._exchange, *head)
        self._put_cells(self.machine.frame.locals[: self.machine.frame.function.parameters])

    def _cells(self, count: int) -> list[int]:
        return list(struct.unpack_from(f"<{count}q", self._memory, self._exchange + layout.CELLS))

    def _put_cells(self, cells: list[int]) -> None:
        struct.pack_into(f"<{len(cells)}q", self._memory, self._exchange + layout.CELLS, *cells)

    def host(self, number: int, left: int) -> int:
        """Carries out the instruction at a site with the operands laid out. Answers the cycles left; -1 ends the
        run."""
        site, machine = self.translation.sites[number], self.machine
        container = self.translation.contract.container
        machine.pc = site.pc
        instruction = machine.fetch()
        operands = self._cells(effect_of(container, site.function, instruction)[0])
        machine.frame.stack = operands.copy()
        # the segment has paid the fixed cycles already; the reference's instruction pays them itself
        machine.left = before = left + TABLE[instruction.op].cycles
        try:
            INSTRUCTIONS[instruction.op](machine)
        except (Trapped, Unresolved):
            # nothing was done; `stopped` lets the reference meet the same end again
            machine.pc, machine.left, machine.frame.stack = site.pc, before, operands
            self._refused = True
            return -1
        self._put_cells(machine.frame.stack)
        return machine.left

    def returned(self) -> Outcome:
        """The outcome of a run whose first function has returned."""
        _, pc, left, _, _, _ = _HEAD.unpack_from(self._memory, self._exchange)
        return self._ended(pc, left, tuple(self._cells(self.machine.frame.function.results)))

    def _ended(self, pc: int, left: int, results: tuple[int, ...]) -> Outcome:
        self.machine.pc, self.machine.left = pc, left
        self.machine.end(results)
        return finish(self.machine, self.limit)

    def stopped(self) -> Outcome:
        """The outcome of a run that has stopped at a site."""
        if self._refused:
            return self._finished()
        number, _, left, _, _, _ = _HEAD.unpack_from(self._memory, self._exchange)
        if number >= len(self.translation.sites):
            raise EngineFault("the module trapped at no site")
        site = self.translation.sites[number]
        left += site.refund
        if site.stop is Stop.HALT:
            return self._ended(site.pc, left, ())
        if site.stop is Stop.SEGMENT:
            self._restore(site, left)
            return self._finished()
        code = self._cells(1)[0] if site.trap is Trap.ABORTED else 0
        return Outcome(Status.TRAP, site.trap, site.pc, self.limit - left, code)

    def _restore(self, site: Site, left: int) -> None:
        """Puts the machine before the segment at `site`. The frames below are not needed: the segment does not end."""
        contract = self.translation.contract
        function = contract.container.functions[site.function]
        cells = self._cells(function.locals + contract.heights[site.pc])
        frame = Frame(function, cells[: function.parameters], 0, 0)
        frame.locals, frame.stack = cells[: function.locals], cells[function.locals :]
        self.machine.frames, self.machine.frame = [frame], frame
        self.machine.pc, self.machine.left = site.pc, left

    def _finished(self) -> Outcome:
        outcome = finish(self.machine, self.limit)
        if outcome.status is Status.OK:
            raise EngineFault("the reference went on where the module had stopped")
        return outcome
