"""What came of a call of a contract, in words for people and as plain data for scripts; the same wherever it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quorate import errors
from quorate.api import problems, render

if TYPE_CHECKING:
    from quorate.model.call import CallOutcome


def exit_code(outcome: CallOutcome) -> int:
    """That of a job without a result, for a call that changed nothing because it failed."""
    return problems.OK if outcome.status == "ok" else problems.TABLE[errors.JobFailed].exit_code


def readable(data: bytes) -> str:
    """Text where all of it is printable ASCII, else hexadecimal after 0x."""
    if data and all(32 <= byte < 127 for byte in data):
        return data.decode()
    return "0x" + data.hex()


def plain(outcome: CallOutcome) -> dict[str, Any]:
    """Bytes in hexadecimal."""
    changes = [(change.key.hex(), None if change.value is None else change.value.hex()) for change in outcome.changes]
    return {
        "status": outcome.status,
        "trap": outcome.trap,
        "code": outcome.code,
        "pc": outcome.pc,
        "cycles": outcome.cycles,
        "results": list(outcome.results),
        "logs": [record.hex() for record in outcome.logs],
        "emitted": outcome.emitted.hex(),
        "state": outcome.state.hex(),
        "changes": changes,
        "transfers": [[transfer.to.hex(), transfer.amount_micro] for transfer in outcome.transfers],
    }


def show(outcome: CallOutcome, unresolved: str) -> None:
    """Bytes as text where they are text. `unresolved` says what to do about a balance that was not at hand."""
    if outcome.status == "trap":
        where = f"code {outcome.code}" if outcome.trap == "aborted" else f"at {outcome.pc}"
        render.say(f"{outcome.trap.replace('_', ' ')}, {where}: nothing was changed")
    elif outcome.status == "unresolved":
        render.say(f"unresolved: the contract asked for a balance that is not at hand; {unresolved}")
    render.say(f"{'cycles':<9} {outcome.cycles}")
    if outcome.results:
        render.say(f"{'results':<9} {', '.join(map(str, outcome.results))}")
    for record in outcome.logs:
        render.say(f"{'log':<9} {readable(record)}")
    if outcome.emitted:
        render.say(f"{'emitted':<9} {readable(outcome.emitted)}")
    for change in outcome.changes:
        value = "removed" if change.value is None else readable(change.value)
        render.say(f"{'changed':<9} {readable(change.key)} = {value}")
    for transfer in outcome.transfers:
        render.say(f"{'paid out':<9} {render.money(transfer.amount_micro)} to 0x{transfer.to.hex()}")
