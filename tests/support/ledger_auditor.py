"""A second ledger, as simple as can be: balances, stakes and escrows as plain numbers, the rules of money written down
once more.

It sees no evidence. The test that knows what happened tells it (who agreed, who tried, who withheld), and compares
every balance with the real ledger after every step. Nothing here imports the ledger's own rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Held:
    """One escrow."""

    payer: bytes
    amount: int
    bond: int
    price_max: int
    attempt_max: int
    lost_bond: set[bytes] = field(default_factory=set)
    open: bool = True


@dataclass
class Auditor:
    """Money by account. Every method moves it or says that it does not move."""

    balance: dict[bytes, int]
    stake: dict[bytes, int]
    held: dict[bytes, Held] = field(default_factory=dict)
    contracts: dict[bytes, int] = field(default_factory=dict)
    deposits: dict[bytes, int] = field(default_factory=dict)

    def total(self) -> int:
        held = sum(held.amount for held in self.held.values()) + sum(self.deposits.values())
        return sum(self.balance.values()) + sum(self.stake.values()) + sum(self.contracts.values()) + held

    def transfer(self, payer: bytes, payee: bytes, amount: int) -> str:
        if amount == 0:
            return "amount_zero"
        if payee not in self.balance:
            return "account_unknown"
        if self.balance[payer] < amount:
            return "balance_too_low"
        self.balance[payer] -= amount
        self.balance[payee] += amount
        return "ok"

    def deposit(self, who: bytes, amount: int) -> str:
        if amount == 0:
            return "amount_zero"
        if self.balance[who] < amount:
            return "balance_too_low"
        self.balance[who] -= amount
        self.stake[who] += amount
        return "ok"

    def open(self, key: bytes, payer: bytes, width: int, rounds: int, caps: tuple[int, int, int]) -> str:
        """`caps`: price and attempt fee at most, and the bond."""
        price_max, attempt_max, bond = caps
        amount = width * price_max + width * rounds * attempt_max + bond
        if self.balance[payer] < amount:
            return "balance_too_low"
        self.balance[payer] -= amount
        self.held[key] = Held(payer, amount, bond, price_max, attempt_max)
        return "ok"

    def pay_in(self, key: bytes, amount: int) -> None:
        """Beside the price of a call, what it brings to the contract."""
        self.balance[self.held[key].payer] -= amount
        self.deposits[key] = amount

    def called(self, key: bytes, contract: bytes, payees: list[tuple[bytes, int]]) -> None:
        """The call took effect: its deposit goes in, its transfers go out."""
        self.contracts[contract] += self.deposits.pop(key)
        for payee, amount in payees:
            self.contracts[contract] -= amount
            self.balance[payee] += amount

    def pay(self, key: bytes, payee: bytes, amount: int) -> None:
        held = self.held[key]
        assert held.open
        amount = min(amount, held.amount - held.bond)
        held.amount -= amount
        self.balance[payee] += amount

    def price(self, key: bytes, payee: bytes, tariff: tuple[int, int], fuel: int) -> None:
        """Base and per million of fuel begun, counted one by one as on a taximeter."""
        base, per_mega = tariff
        megas, rest = divmod(fuel, 1_000_000)
        self.pay(key, payee, min(base + per_mega * (megas + (1 if rest else 0)), self.held[key].price_max))

    def attempt(self, key: bytes, payee: bytes, fee: int) -> None:
        self.pay(key, payee, min(fee, self.held[key].attempt_max))

    def end(self, key: bytes) -> None:
        held = self.held[key]
        self.balance[held.payer] += held.amount + self.deposits.pop(key, 0)
        held.amount = held.bond = 0
        held.open = False

    def slash_member(self, key: bytes, member: bytes, bond: int) -> None:
        held = self.held[key]
        if member in held.lost_bond:
            return
        held.lost_bond.add(member)
        lost = min(self.stake[member], bond)
        self.stake[member] -= lost
        self.balance[held.payer] += lost

    def slash_payer(self, key: bytes, harmed: list[bytes], bond: int) -> None:
        held = self.held[key]
        if held.payer in held.lost_bond:
            return
        held.lost_bond.add(held.payer)
        if held.open:
            lost, held.bond = held.bond, 0
            held.amount -= lost
        else:
            lost = min(self.stake[held.payer], bond)
            self.stake[held.payer] -= lost
        for place, member in enumerate(harmed):
            self.balance[member] += lost // len(harmed) + (lost % len(harmed) if place == 0 else 0)
