"""The whole state of the ledger as one frozen value of immutable tables: accounts, contracts, standing offers, rosters,
escrows, what was answered.

Nothing is kept for ever but accounts, their keys and the heads of contracts. Everything else is swept when its time
has passed: offers and rosters at their expiry, answers and settled escrows after `RETAIN_MS` (so long equivocation can
be punished, and no transfer or deposit is valid for longer, so that a copy cannot move the money again), the mark that
a job had its escrow once the job itself has expired.

`digest` is a running digest over every transaction with its signer, status and events, from the network id on. The
machine is deterministic, so it commits to the state; equal digests mean equal histories, and a replay that leads
elsewhere shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from quorate.crypto.digests import digest, value_digest
from quorate.crypto.signing import check_bundle, node_id
from quorate.errors import InvalidField
from quorate.ledger.ballots import Ballots, Terms
from quorate.ledger.reputation import START
from quorate.ledger.status import Status
from quorate.ledger.table import K, Table, V
from quorate.model.agreement import Agreement, EscrowOpened, Roster
from quorate.model.call import ContractCall
from quorate.model.contract import ID_BYTES, Deployment
from quorate.model.identity import KeyBundle
from quorate.model.network import Genesis
from quorate.model.offer import Offer, Prices
from quorate.model.settlement import Settlement
from quorate.model.units import AMOUNT_MAX, Digest, JobId, NodeId

HOUR_MS = 3_600_000
RETAIN_MS = 24 * HOUR_MS
NEVER_MS = 1 << 62
THRESHOLD = (7, 10)
"""The one default fraction that `verify.quorum` implements; jobs set their own threshold beside it."""


class Account(msgspec.Struct, frozen=True):
    """`offers` are the digests of the account's standing offers, `contracts` is how many it has deployed."""

    bundle: KeyBundle
    role: str
    balance_micro: int
    stake_micro: int
    score: int = START
    offers: tuple[Digest, ...] = ()
    contracts: int = 0


class ContractRecord(msgspec.Struct, frozen=True):
    """A contract and its head. `holders` should have the bytes of the state."""

    deployment: Deployment
    state: Digest
    version: int
    balance_micro: int
    holders: tuple[NodeId, ...]


class RosterRecord(msgspec.Struct, frozen=True):
    """A roster whose offers all stood at `version` of the offers, with what new agreements are checked against."""

    roster: Roster
    digest: Digest
    version: int
    expires_ms: int
    operators: int
    engines: frozenset[str]
    prices: Mapping[NodeId, Prices]
    tariffs: frozenset[Prices]
    fuel_max: int
    memory_bytes_max: int


class Pending(msgspec.Struct, frozen=True):
    """An agreement on its way to its end: what stands on the ledger, and until when members may add to it. `outputs`
    are those of a call that members posted."""

    cause: Literal["force", "cancel", "settle"]
    forced: bool
    commit_by_ms: int
    reveal_by_ms: int
    ballots: Ballots
    outputs: tuple[bytes, ...] = ()


class Told(msgspec.Struct, frozen=True):
    """Where an event stands in the log, and which transaction it was the answer to."""

    place: int
    key: bytes


class Escrow(msgspec.Struct, frozen=True):
    """`balance_micro` is what it holds for the job, `bond_micro` of it the requester's bond; beside it `deposit_micro`
    for the contract that it calls. With a `settlement` it is closed and empty. `told_opened` and `told_settled` are the
    answers to the transactions that opened and that closed it."""

    terms: Terms
    opened: EscrowOpened
    job_expires_ms: int
    balance_micro: int
    bond_micro: int
    call: ContractCall | None = None
    deposit_micro: int = 0
    pending: Pending | None = None
    settlement: Settlement | None = None
    slashed: tuple[NodeId, ...] = ()
    told_opened: Told | None = None
    told_settled: Told | None = None

    @property
    def agreement(self) -> Agreement:
        return self.terms.agreement

    @property
    def until_ms(self) -> int:
        """While it is open it stays."""
        return self.settlement.time_ms + RETAIN_MS if self.settlement else NEVER_MS


class Taken(msgspec.Struct, frozen=True):
    """A job that has had its escrow. Another one is refused until the job itself has expired."""

    agreement: Digest
    until_ms: int


class Answered(msgspec.Struct, frozen=True):
    """The first answer to a transaction: the bytes of its events, and the place of the first of them in the log. Those
    that opened or closed an escrow are remembered there."""

    status: Status
    detail: str
    events: tuple[bytes, ...]
    place: int
    until_ms: int


class Past(Protocol):
    """Where rows lie that have left memory (`ledger.archive`)."""

    def over(self, state: State, below: int) -> State:
        """The state with its tables over the rows that blocks below height `below` left there."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of the ledger. `supply_micro` is the sum of all balances, stakes, escrows and contracts, for ever;
    `events` is how many there are in the log. `ids` leads from the ids that contracts see to accounts and contracts."""

    network: Digest
    genesis: Genesis
    sequencers: frozenset[NodeId]
    supply_micro: int
    digest: Digest
    height: int
    time_ms: int
    accounts: Table[NodeId, Account]
    components: Table[bytes, NodeId]
    contracts: Table[Digest, ContractRecord]
    ids: Table[bytes, bytes]
    offers: Table[Digest, Offer]
    offers_version: int
    rosters: Table[Digest, RosterRecord]
    escrows: Table[Digest, Escrow]
    jobs: Table[JobId, Taken]
    answered: Table[bytes, Answered]
    events: int
    swept_hour: int
    past: Past | None

    def bundle(self, account: NodeId) -> KeyBundle | None:
        """The registered keys of `account`, for whoever checks signatures."""
        found = self.accounts.get(account)
        return found.bundle if found else None


def replace(state: State, **changes: Any) -> State:
    return msgspec.structs.replace(state, **changes)


def with_account(state: State, key: NodeId, **changes: Any) -> State:
    account = msgspec.structs.replace(state.accounts[key], **changes)
    return replace(state, accounts=state.accounts.put(key, account))


def with_contract(state: State, key: Digest, record: ContractRecord) -> State:
    return replace(state, contracts=state.contracts.put(key, record))


def with_escrow(state: State, escrow: Escrow) -> State:
    return replace(state, escrows=state.escrows.put(escrow.terms.agreement_id, escrow))


def credited(state: State, key: NodeId, amount_micro: int) -> State:
    return with_account(state, key, balance_micro=state.accounts[key].balance_micro + amount_micro)


def key_parts(bundle: KeyBundle) -> tuple[bytes, ...]:
    """The component keys of a bundle: none of them may belong to a second account (R9)."""
    return tuple(part for part in (bundle.ed25519, bundle.ml_dsa) if part)


def genesis_state(genesis: Genesis, past: Past | None = None) -> State:
    """The state before the first block. Raises InvalidField or BadSignature for a genesis that no network can start
    from."""
    network = value_digest(genesis)
    if genesis.threshold != THRESHOLD:
        raise InvalidField(
            str(genesis.threshold), field="threshold", limit=str(THRESHOLD), fix="set a threshold per job"
        )
    accounts: Table[NodeId, Account] = Table()
    components: Table[bytes, NodeId] = Table()
    ids: Table[bytes, bytes] = Table()
    for item in genesis.accounts:
        check_bundle(item.bundle)
        key = node_id(item.bundle)
        if item.bundle.suite not in genesis.suites:
            raise InvalidField(str(item.bundle.suite), field="accounts", limit=", ".join(genesis.suites))
        for part in key_parts(item.bundle):
            if part in components:
                raise InvalidField("one key in two accounts", field="accounts", fix="make fresh keys for each")
            components = components.put(part, key)
        if key[:ID_BYTES] in ids:
            raise InvalidField("two accounts with one id", field="accounts", fix="make fresh keys for one of them")
        ids = ids.put(key[:ID_BYTES], key)
        accounts = accounts.put(key, Account(item.bundle, item.role, item.balance_micro, item.stake_micro))
    supply = sum(item.balance_micro + item.stake_micro for item in genesis.accounts)
    if supply > AMOUNT_MAX:
        raise InvalidField(str(supply), field="accounts", limit=f"{AMOUNT_MAX} micro-credits in all")
    return State(
        network=network,
        genesis=genesis,
        sequencers=frozenset(node_id(bundle) for bundle in genesis.ledger),
        supply_micro=supply,
        digest=digest("ledger genesis", network),
        height=0,
        time_ms=genesis.created_ms,
        accounts=accounts,
        components=components,
        contracts=Table(),
        ids=ids,
        offers=Table(),
        offers_version=0,
        rosters=Table(),
        escrows=Table(),
        jobs=Table(),
        answered=Table(),
        events=0,
        swept_hour=genesis.created_ms // HOUR_MS,
        past=past,
    )


def advanced(state: State, height: int, time_ms: int) -> State:
    """The state at the start of a block. Raises InvalidField when the block would go back."""
    if height < state.height or time_ms < state.time_ms:
        raise InvalidField(
            f"height {height} at {time_ms} ms",
            field="block",
            limit=f"height {state.height} or more, {state.time_ms} ms or later",
        )
    if (height, time_ms) == (state.height, state.time_ms):
        return state
    state = replace(state, height=height, time_ms=time_ms)
    hour = time_ms // HOUR_MS
    state = _swept(state, hour) if hour > state.swept_hour else state
    return state.past.over(state, height) if state.past else state


def _swept(state: State, hour: int) -> State:
    """Without every row whose time was over before this hour. It is looked for once an hour: to note each row's hour
    when it comes would cost more, in time and in memory."""
    now = hour * HOUR_MS
    for key, offer in [*state.offers.items()]:
        if offer.expires_ms < now:
            state = _without_offer(state, key, offer)
    return replace(
        state,
        rosters=_without_old(state.rosters, now, lambda roster: roster.expires_ms),
        escrows=_without_old(state.escrows, now, lambda escrow: escrow.until_ms),
        jobs=_without_old(state.jobs, now, lambda taken: taken.until_ms),
        answered=_without_old(state.answered, now, lambda answered: answered.until_ms),
        swept_hour=hour,
    )


def _without_old(table: Table[K, V], now: int, until_ms: Callable[[V], int]) -> Table[K, V]:
    for key in [key for key, value in table.items() if until_ms(value) < now]:
        table = table.without(key)
    return table


def _without_offer(state: State, key: Digest, offer: Offer) -> State:
    left = tuple(other for other in state.accounts[offer.provider].offers if other != key)
    return replace(with_account(state, offer.provider, offers=left), offers=state.offers.without(key))


def withdrawn(state: State, key: NodeId) -> State:
    """All offers of `key` cease to stand: its stake or score no longer backs them."""
    offers = state.offers
    for offer in state.accounts[key].offers:
        offers = offers.without(offer)
    state = with_account(state, key, offers=())
    return replace(state, offers=offers, offers_version=state.offers_version + 1)
