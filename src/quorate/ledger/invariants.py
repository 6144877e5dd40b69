"""What holds in every state, whatever happened: money is neither made nor lost, nothing is negative, and every index
points home.

`check` walks the whole state; it is for tests, simulations and `replay` audits, not for every transaction.
"""

from __future__ import annotations

from quorate.errors import InvalidField
from quorate.ledger.reputation import SCORE_MAX
from quorate.ledger.state import Escrow, State
from quorate.model.contract import ID_BYTES


def held_micro(state: State) -> int:
    """Everything in balances, stakes, escrows and contracts."""
    accounts = sum(account.balance_micro + account.stake_micro for account in state.accounts.values())
    contracts = sum(record.balance_micro for record in state.contracts.values())
    return accounts + contracts + sum(escrow.balance_micro + escrow.deposit_micro for escrow in state.escrows.values())


def faults(state: State) -> list[str]:
    """Every invariant that does not hold, one line each."""
    found = []
    if held_micro(state) != state.supply_micro:
        found.append(f"supply: {held_micro(state)} held of {state.supply_micro}")
    for key, account in state.accounts.items():
        if min(account.balance_micro, account.stake_micro) < 0:
            found.append(f"account {key.hex()[:16]}: negative")
        if not 0 <= account.score <= SCORE_MAX:
            found.append(f"account {key.hex()[:16]}: score {account.score}")
        if any(offer not in state.offers for offer in account.offers):
            found.append(f"account {key.hex()[:16]}: an offer that does not stand")
    for contract, record in state.contracts.items():
        if record.balance_micro < 0:
            found.append(f"contract {contract.hex()[:16]}: negative")
        if state.ids.get(contract[:ID_BYTES]) != contract:
            found.append(f"contract {contract.hex()[:16]}: its id leads elsewhere")
    for agreement, escrow in state.escrows.items():
        found += (f"escrow {agreement.hex()[:16]}: {fault}" for fault in _escrow_faults(state, escrow))
    return found


def _escrow_faults(state: State, escrow: Escrow) -> list[str]:
    found = []
    if not 0 <= escrow.bond_micro <= escrow.balance_micro:
        found.append("bond above its balance")
    if escrow.settlement is not None:
        if escrow.balance_micro or escrow.deposit_micro or escrow.pending:
            found.append("settled, not empty")
        paid = sum(item.amount_micro for item in escrow.settlement.payments if item.reason not in ("slash", "transfer"))
        if paid > escrow.opened.escrow_micro:
            found.append("paid more than it held")
    else:
        taken = state.jobs.get(escrow.agreement.job)
        if taken is not None and taken.agreement != escrow.terms.agreement_id:
            found.append("another escrow of its job")
    return found


def check(state: State) -> None:
    """Raises InvalidField when an invariant does not hold."""
    found = faults(state)
    if found:
        raise InvalidField("; ".join(found[:4]), field="ledger state")
