"""What a run has asked of the world so far. It reads through to what the run was given, and is dropped unless the run
succeeds."""

from __future__ import annotations

from quorate.execute.bytecode.host import (
    EMIT_BYTES_MAX,
    LOG_BYTES_MAX,
    LOG_RECORDS_MAX,
    TRANSFERS_MAX,
    Context,
    Transfer,
    Trapped,
    Unresolved,
)
from quorate.execute.bytecode.opcodes import Trap
from quorate.execute.bytecode.state import Change, State, changes_between


class Journal:
    """State, balances and outputs of one run."""

    def __init__(self, state: State | None, context: Context, state_size_max: int) -> None:
        self.context = context
        self.logs: list[bytes] = []
        self.emitted = bytearray()
        self.transfers: list[Transfer] = []
        self._state = state
        self._entries = dict(state.entries) if state else {}
        self._state_size = state.size if state else 0
        self._state_size_max = state_size_max
        self._balances = dict(context.balances)
        self._received: dict[bytes, int] = {}

    def read(self, key: bytes) -> bytes | None:
        if self._state is None:
            raise Unresolved
        return self._entries.get(key)

    def write(self, key: bytes, value: bytes | None) -> None:
        """Sets or, with None, removes an entry."""
        old = self.read(key)
        before = len(key) + len(old) if old is not None else 0
        after = len(key) + len(value) if value is not None else 0
        size = self._state_size - before + after
        if size > self._state_size_max:
            raise Trapped(Trap.STATE_SIZE)
        self._state_size = size
        if value is None:
            self._entries.pop(key, None)
        else:
            self._entries[key] = value

    def changes(self) -> tuple[Change, ...]:
        return changes_between(self._state, self._entries) if self._state else ()

    def balance(self, account: bytes) -> int:
        """What the account has, with the transfers of this run."""
        if account not in self._balances:
            raise Unresolved
        return self._balances[account] + self._received.get(account, 0)

    def transfer(self, to: bytes, amount: int) -> bool:
        """Moves `amount` from the contract to `to`; False if it has not that much."""
        own = self.context.self_id
        if amount > self.balance(own):
            return False
        if len(self.transfers) == TRANSFERS_MAX:
            raise Trapped(Trap.OUTPUT_LIMIT)
        self._received[own] = self._received.get(own, 0) - amount
        self._received[to] = self._received.get(to, 0) + amount
        self.transfers.append(Transfer(to, amount))
        return True

    def log(self, record: bytes) -> None:
        size = sum(map(len, self.logs)) + len(record)
        if len(self.logs) == LOG_RECORDS_MAX or size > LOG_BYTES_MAX:
            raise Trapped(Trap.OUTPUT_LIMIT)
        self.logs.append(record)

    def emit(self, data: bytes) -> None:
        if len(self.emitted) + len(data) > EMIT_BYTES_MAX:
            raise Trapped(Trap.OUTPUT_LIMIT)
        self.emitted += data
