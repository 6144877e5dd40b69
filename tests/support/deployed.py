"""A contract on a network, called like a replica (`quorate.execute.bytecode.replica`), so that the programs beside a
contract also speak to a deployed one. Whoever calls signs with a key of its own, and the ledger has the clock.

    naming = Deployed(ann.deploy(container), (ann, ben))
    naming.call("register", b"maryam", b"node", 5, sender=id_of(ann))
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.book import Book

from quorate import Job, Quorate
from quorate.api.results import Result
from quorate.execute.bytecode.host import Argument, Transfer
from quorate.execute.bytecode.replica import Answer
from quorate.execute.bytecode.state import State
from quorate.model.transaction import Head

REPLICATION = 3
"""All of them have to agree (the default threshold of a local network)."""
WAIT_S = 60


def id_of(client: Quorate) -> bytes:
    """What contracts see of whoever signs with this client's key."""
    return client.parties.requester[:16]


class Deployed:
    """`parties` are those who may call; the first one calls where nobody is named, and asks where the contract stands.
    `jobs` are those of all calls with the ids of who signed them, the oldest first."""

    def __init__(self, contract: str, parties: Sequence[Quorate]) -> None:
        self.contract = contract
        self.self_id = bytes.fromhex(contract)[:16]
        self.parties = {id_of(party): party for party in parties}
        self.asks = parties[0]
        self.jobs: list[tuple[bytes, str]] = []

    @property
    def head(self) -> Head:
        head = self.asks.contract(self.contract).head
        assert head is not None
        return head

    @property
    def epoch(self) -> int:
        return self.asks.contract(self.contract).epoch

    @property
    def state(self) -> State:
        return State.of(self.asks.contract_state(self.contract))

    def call(self, function: str, *arguments: Argument, sender: bytes = b"", deposit: int = 0) -> Answer:
        """A call that has to end well."""
        outcome = self.attempt(function, *arguments, sender=sender, deposit=deposit).call()
        assert outcome.status == "ok", (function, outcome.trap, outcome.code)
        transfers = tuple(Transfer(transfer.to, transfer.amount_micro) for transfer in outcome.transfers)
        return Answer(outcome.results, outcome.emitted, outcome.logs, transfers, outcome.cycles)

    def refuses(self, code: int, function: str, *arguments: Argument, sender: bytes = b"", deposit: int = 0) -> None:
        """A call that the members agree to have aborted with `code`, and of which nothing remains."""
        before = self.head
        outcome = self.attempt(function, *arguments, sender=sender, deposit=deposit).call()
        assert (outcome.status, outcome.trap, outcome.code) == ("trap", "aborted", code), (function, outcome)
        assert self.head == before

    def attempt(self, function: str, *arguments: Argument, sender: bytes = b"", deposit: int = 0) -> Result:
        """A call that the ledger has settled, however it ended."""
        who = sender or id_of(self.asks)
        party = self.parties[who]
        draft = Job.builder().call(party.contract(self.contract), function, *arguments, deposit_micro=deposit)
        job = party.submit(draft.replication(REPLICATION).build())
        self.jobs.append((who, job))
        return party.wait(job, WAIT_S)

    def fees_micro(self, book: Book, who: bytes) -> int:
        """What one party has paid to members for running its calls."""
        return sum(sum(book.paid(job).values()) for sender, job in self.jobs if sender == who)
