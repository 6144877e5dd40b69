"""Ten thousand random operations with crashes, each followed by an audit: money is neither made nor lost, and every
account holds exactly what a second, simple ledger says. And ten thousand random jobs, each billed to the unit (S-D45)
and never twice (S-C64)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import msgspec
import pytest
from tests.support.ledger_auditor import Auditor
from tests.support.ledger_calls import CallDeal, Calls
from tests.support.ledger_world import BOND, Claim, Deal, Notes, World

from quorate.crypto.digests import digest, value_digest
from quorate.crypto.signing import Identity
from quorate.ledger.blocks import next_context, produce
from quorate.ledger.invariants import check, held_micro
from quorate.market.pricing import places
from quorate.model.agreement import Agreement, EscrowOpened
from quorate.model.codec import Value, decode
from quorate.model.offer import Prices
from quorate.model.policy import Proof
from quorate.model.settlement import Settlement
from quorate.model.transaction import (
    CloseForced,
    DepositStake,
    Equivocation,
    Expire,
    Settle,
    TransferCredits,
)
from quorate.model.units import Digest

OPERATIONS = 10_000
JOBS = 10_000
MONTH_MS = 25 * 24 * 3_600_000


class Simulation:
    """Random operations against the ledger and the auditor at once."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World(providers=9, signatures=Notes, nodes=3, archived=True)
        accounts = self.world.state.accounts
        self.audit = Auditor(
            {key: account.balance_micro for key, account in accounts.items()},
            {key: account.stake_micro for key, account in accounts.items()},
        )
        self.supply = self.audit.total()
        self.payers = [self.world.requester, self.world.node, *self.world.extra]
        self.deals: list[Deal] = []
        self.ended: list[Deal] = []
        self.done: list[tuple[Identity, Value]] = []
        self.endings: dict[str, int] = {}
        self.nonce = self.crashes = self.steps = 0
        for who in self.world.providers:
            self.stand(who)
        self.calls = Calls(self.world)
        self.contracts = [self.calls.deploy() for _ in range(3)]
        self.audit.contracts = dict.fromkeys(self.contracts, 0)
        self.calling: list[CallDeal] = []

    # every transaction goes through here

    def post(self, who: Identity, value: Value) -> str:
        """Posts, sometimes through a crash before or after the block is durable; then audits."""
        world, dice = self.world, self.random.random()
        if dice < 0.05:  # the process dies before the block is durable: nothing happened
            context = next_context(world.state, world.now, b"\x0c" * 32)
            lost = produce(world.state, world.journal, [world.tx(who, value)], context, world.signatures.verify)
            world.journal.truncate(lost.size_before)
        reply = world.post(who, value)
        if reply.fresh and dice > 1 - 0.001:  # it dies after, before anyone was answered: the sender asks again
            world.crash()
            self.crashes += 1
            again = world.post(who, value)
            assert (again.answer, again.fresh) == (reply.answer, False)
            assert [event.event for event in again.events] == [event.event for event in reply.events]
        if reply.answer.status == "ok":
            self.done.append((who, value))
        self.steps += 1
        return str(reply.answer.status)

    def expect(self, who: Identity, value: Value, status: str = "ok") -> None:
        found = self.post(who, value)
        assert found == status, (found, status, value)

    def check(self) -> None:
        accounts = dict(self.world.state.accounts.items())
        assert {key: account.balance_micro for key, account in accounts.items()} == self.audit.balance
        assert {key: account.stake_micro for key, account in accounts.items()} == self.audit.stake
        contracts = dict(self.world.state.contracts.items())
        assert {key: record.balance_micro for key, record in contracts.items()} == self.audit.contracts
        assert held_micro(self.world.state) == self.supply == self.audit.total()
        assert min(*self.audit.balance.values(), *self.audit.stake.values()) >= 0

    # operations

    def fresh_nonce(self) -> bytes:
        self.nonce += 1
        return self.nonce.to_bytes(32, "big")

    def amount(self, who: bytes) -> int:
        most = self.audit.balance[who]
        return self.random.choice([0, 1, most, most + 1, self.random.randint(0, 2_000), self.random.randint(0, most)])

    def anyone(self) -> Identity:
        return self.random.choice([*self.payers, *self.world.providers])

    def transfer(self) -> None:
        payer, payee = self.anyone(), self.random.choice([self.anyone(), self.anyone(), self.world.stranger])
        amount = min(self.amount(payer.node_id), 50_000)
        value = TransferCredits(
            network=self.world.network,
            to=payee.node_id,
            amount_micro=amount,  # type: ignore[arg-type]
            expires_ms=self.world.now + 3_600_000,
            nonce=self.fresh_nonce(),
        )
        self.expect(payer, value, self.audit.transfer(payer.node_id, payee.node_id, amount))

    def deposit(self) -> None:
        who = self.anyone()
        amount = min(self.amount(who.node_id), 5_000)
        value = DepositStake(
            network=self.world.network,
            amount_micro=amount,
            expires_ms=self.world.now + 3_600_000,
            nonce=self.fresh_nonce(),
        )  # type: ignore[arg-type]
        self.expect(who, value, self.audit.deposit(who.node_id, amount))

    def stand(self, who: Identity) -> None:
        """Brings a provider's stake up to the bond, then its offer."""
        missing = BOND - self.audit.stake[who.node_id]
        if missing > 0:
            payer = max(self.payers, key=lambda payer: self.audit.balance[payer.node_id])
            for signer, value in (
                (
                    payer,
                    TransferCredits(
                        network=self.world.network,
                        to=who.node_id,
                        amount_micro=missing,
                        expires_ms=self.world.now + 3_600_000,
                        nonce=self.fresh_nonce(),
                    ),
                ),  # type: ignore[arg-type]
                (
                    who,
                    DepositStake(
                        network=self.world.network,
                        amount_micro=missing,
                        expires_ms=self.world.now + 3_600_000,
                        nonce=self.fresh_nonce(),
                    ),
                ),  # type: ignore[arg-type]
            ):
                assert self.world.status(signer, value) == "ok"
            assert self.audit.transfer(payer.node_id, who.node_id, missing) == "ok"
            assert self.audit.deposit(who.node_id, missing) == "ok"
        prices = Prices(
            base_micro=self.random.randint(0, 300),  # type: ignore[arg-type]
            per_mega_fuel_micro=self.random.randint(0, 30),  # type: ignore[arg-type]
            attempt_micro=self.random.randint(0, 40),  # type: ignore[arg-type]
        )
        region = f"region {self.fresh_nonce().hex()}"
        self.world.stand(who, prices=prices, region=region, expires_ms=self.world.now + MONTH_MS)

    def renew(self) -> None:
        """Offers that have expired stand anew."""
        for who in self.world.providers:
            if value_digest(self.world.offers[who.node_id]) not in self.world.state.offers:
                self.stand(who)

    def open(self) -> None:
        world = self.world
        self.renew()
        method = self.random.choice(["trust", "rerun", "quorum", "quorum"])
        replicas = self.random.randint(1, 4) if method == "quorum" else 1
        proof = Proof(method=method, replicas=replicas, threshold=0, one_in=self.random.choice([1, 10**6]))  # type: ignore[arg-type]
        owner, node = self.random.choice(self.payers), self.random.choice(self.payers)
        job = world.job(proof=proof, requester=owner.node_id, node=node.node_id)
        roster, most = world.roster(), min(3, 9 // replicas)
        rounds = self.random.randint(1, most)
        agreement = world.agreement(job, roster, rounds=rounds, reserves=9 - rounds * replicas)
        caps = (agreement.price_max_micro, agreement.attempt_max_micro, agreement.bond_micro)
        key = value_digest(agreement)
        expected = self.audit.open(key, owner.node_id, places(proof), rounds, caps)
        value = world.order(job, agreement, roster)
        self.expect(node, value, expected)
        if expected == "ok":
            self.deals.append(Deal(world, agreement, world.state.escrows[key].opened))

    def again(self) -> None:
        """What was posted before, posted again by its signer, changes nothing."""
        if self.done:
            who, value = self.random.choice(self.done[-400:])
            before = self.world.state
            reply = self.world.post(who, value)
            assert not reply.fresh
            assert self.world.state is before

    def end(self) -> None:
        """One open agreement comes to one of its ends."""
        if not self.deals:
            return
        deal = self.deals.pop(self.random.randrange(len(self.deals)))
        ending = self.random.choice(
            [self.accept, self.accept, self.accept, self.split, self.cancel, self.expire, self.force]
        )
        self.endings[ending.__name__] = self.endings.get(ending.__name__, 0) + 1
        ending(deal)
        self.ended.append(deal)

    # calls of contracts

    def call(self) -> None:
        """Up to three calls on one head, so that some lose; each may pay in, and its contract out. One may stay open
        until it expires."""
        self.renew()
        contract = self.random.choice(self.contracts)
        for _ in range(self.random.randint(1, 3)):
            self.open_call(contract)
        while len(self.calling) > self.random.randint(0, 1):
            self.end_call(self.calling.pop(self.random.randrange(len(self.calling))))

    def open_call(self, contract: Digest) -> None:
        deposit = self.random.choice([0, 0, 1, 700])
        value = self.calls.opening(self.calls.call(contract, deposit))
        agreement = decode(value.agreement.body, Agreement)
        key, payer = value_digest(agreement), self.world.requester.node_id
        caps = (agreement.price_max_micro, agreement.attempt_max_micro, agreement.bond_micro)
        if self.audit.balance[payer] < 20_000:
            return
        assert self.audit.open(key, payer, 3, 1, caps) == "ok"
        self.audit.pay_in(key, deposit)
        self.expect(self.world.node, value)
        opened, call = self.world.state.escrows[key].opened, self.world.state.escrows[key].call
        assert call is not None
        self.calling.append(CallDeal(self.world, agreement, opened, call))

    def end_call(self, deal: CallDeal) -> None:
        if deal.agreement.settle_by_ms < self.world.now:
            return self.expire(deal)
        record, call = self.world.state.contracts[deal.call.contract], deal.call
        on_head = (record.state, record.version) == (call.state, call.version)
        state = self.random.choice([bytes(call.state), self.random.randbytes(32), self.random.randbytes(32)])
        payee, most = self.anyone().node_id, call.balance(call.self_id) or 0
        amount = self.random.choice([0, min(1, most), most, most + 1])
        known = self.random.random() < 0.8
        to = bytes(payee[:16]) if known else bytes(16)
        ended = self.random.choice(["ok", "ok", "ok", "trap"])
        output = deal.output(state if ended == "ok" else call.state, *([(to, amount)] * (ended == "ok")), status=ended)
        claims = deal.claims(output)
        self.agreed(deal, claims)
        if ended == "ok" and on_head and known and amount <= most:
            self.audit.called(deal.id, call.contract, [(payee, amount)])
            self.endings["applied"] = self.endings.get("applied", 0) + 1
        self.audit.end(deal.id)
        self.expect(deal.node, msgspec.structs.replace(deal.settle(claims), outcome=output))
        return None

    # endings: what happens, told to both

    def claims(self, deal: Deal, number: int, tags: Sequence[str]) -> list[Claim]:
        width = places(deal.agreement.proof)
        members = deal.members[(number - 1) * width :][: len(tags)]
        fuel = self.random.randint(0, 12_000_000)
        return [deal.claim(member, number, tag, fuel) for member, tag in zip(members, tags, strict=True)]

    def tried(self, deal: Deal, claims: Sequence[Claim]) -> None:
        for claim in claims:
            self.audit.attempt(deal.id, claim.member, self.world.offers_of(deal)[claim.member].attempt_micro)

    def agreed(self, deal: Deal, claims: Sequence[Claim]) -> None:
        for claim in claims:
            prices = self.world.offers_of(deal)[claim.member]
            tariff = (prices.base_micro, prices.per_mega_fuel_micro)
            self.audit.price(deal.id, claim.member, tariff, claim.opening.body.vote.fuel_bucket)

    def width(self, deal: Deal, number: int) -> int:
        proof = deal.agreement.proof
        if proof.method == "rerun":
            return 1 if number == 1 and proof.one_in > 1 else 2
        return proof.replicas

    def fails(self, deal: Deal, number: int) -> list[Claim] | None:
        """A round without a quorum; a single place can only fail. None when the members do not suffice."""
        width = self.width(deal, number)
        if len(deal.members) < places(deal.agreement.proof) * number:
            return None
        claims = self.claims(deal, number, [f"tag {place}" for place in range(width)])
        if width > 1:
            return claims
        claim = claims[0]
        return [deal.claim(claim.member, number, "none", status="wall_clock")]

    def enough(self, deal: Deal, number: int) -> bool:
        return len(deal.members) >= places(deal.agreement.proof) * number

    def accept(self, deal: Deal) -> None:
        """Some rounds split, then one agrees, perhaps with a dissenter; posted by the node or by a member."""
        number = self.random.randint(1, deal.agreement.rounds)
        if not self.enough(deal, number):
            return self.expire(deal)
        lost = [self.fails(deal, earlier) for earlier in range(1, number)]
        width = self.width(deal, number)
        needed = (7 * width + 9) // 10 if deal.agreement.proof.method == "quorum" else width
        agreeing = self.random.randint(needed, width)
        claims = self.claims(deal, number, ["right"] * agreeing + ["wrong"] * (width - agreeing))
        rounds = [*[claims for claims in lost if claims], claims]
        for earlier in rounds[:-1]:
            self.tried(deal, earlier)
        self.agreed(deal, claims[:agreeing])
        self.audit.end(deal.id)
        poster = self.random.choice([deal.node, self.world.identities[claims[0].member]])
        self.expect(poster, deal.settle(*rounds))
        self.expect(self.world.providers[0], Expire(network=self.world.network, agreement=deal.id), "already_settled")
        return None

    def split(self, deal: Deal) -> None:
        """No round agrees. With rounds left the end waits for the members, otherwise it is immediate."""
        number = self.random.randint(1, deal.agreement.rounds)
        if not self.enough(deal, number):
            return self.expire(deal)
        rounds = [claims for place in range(1, number + 1) if (claims := self.fails(deal, place))]
        self.expect(deal.node, deal.settle(*rounds, ack=False))
        if number < deal.agreement.rounds:
            self.check()
        for claims in rounds:
            self.tried(deal, claims)
        self.audit.end(deal.id)
        close = CloseForced(network=self.world.network, agreement=deal.id)
        if number < deal.agreement.rounds:
            self.expect(self.world.sequencer, close, "too_early")
            self.world.wait(2_001)
            self.expect(self.world.sequencer, close)
        return None

    def cancel(self, deal: Deal) -> None:
        width = self.width(deal, 1)
        claims = self.claims(deal, 1, ["x"] * width)
        shown = [claim for claim in claims if self.random.random() < 0.5]
        late = [claim for claim in claims if claim not in shown and self.random.random() < 0.5]
        self.expect(deal.node, deal.cancel(*(claim.commit for claim in shown)))
        for claim in late:
            self.expect(self.world.identities[claim.member], deal.force_commit(claim))
        self.check()
        self.world.wait(2_001)
        order = {member: place for place, member in enumerate(deal.members)}
        self.tried(deal, sorted([*shown, *late], key=lambda claim: order[claim.member]))
        self.audit.end(deal.id)
        self.expect(self.anyone(), CloseForced(network=self.world.network, agreement=deal.id))

    def expire(self, deal: Deal) -> None:
        self.world.wait(max(0, deal.agreement.settle_by_ms - self.world.now + 1))
        self.audit.end(deal.id)
        self.expect(self.anyone(), Expire(network=self.world.network, agreement=deal.id))

    def force(self, deal: Deal) -> None:
        """The node is gone: members bring their round to the ledger, some withhold, some post no result."""
        width = self.width(deal, 1)
        claims = self.claims(deal, 1, ["right"] * width)
        more = (deal.close(claims),)
        self.expect(self.world.identities[claims[0].member], deal.force(claims[0], *more))
        for claim in claims[1:]:
            self.expect(self.world.identities[claim.member], deal.force_commit(claim))
        self.world.wait(2_001)
        opening = [claim for claim in claims if self.random.random() < 0.8]
        posted = self.random.random() < 0.8
        for claim in opening:
            self.expect(self.world.identities[claim.member], deal.reveal(claim, claim.result if posted else b""))
        self.world.wait(2_000)
        proof = deal.agreement.proof
        needed = (7 * width + 9) // 10 if proof.method == "quorum" else width
        if len(opening) >= needed and posted:
            self.agreed(deal, opening)
        else:
            self.tried(deal, opening)
        self.audit.end(deal.id)
        for claim in claims:
            if claim not in opening:
                self.audit.slash_member(deal.id, claim.member, BOND)
        self.expect(self.anyone(), CloseForced(network=self.world.network, agreement=deal.id))

    def equivocate(self) -> None:
        """A member or the node contradicts itself, in an agreement that is open or was settled lately."""
        pool = [*self.deals, *self.ended[-5:]]
        pool = [deal for deal in pool if deal.id in self.world.state.escrows]
        if not pool:
            return
        deal = self.random.choice(pool)
        world, held = self.world, self.audit.held[deal.id]
        claims = self.claims(deal, 1, ["a"] * self.width(deal, 1))
        liar = claims[0].member
        if self.random.random() < 0.5:
            known = liar in held.lost_bond
            pair = claims[0].commit, deal.claim(liar, tag="b").commit
            self.audit.slash_member(deal.id, liar, BOND)
        else:
            known = held.payer in held.lost_bond
            pair = deal.close(claims), deal.close(claims, salt=b"\x06" * 32)
            self.audit.slash_payer(deal.id, [claim.member for claim in claims], BOND)
        value = Equivocation(network=world.network, first=pair[0], second=pair[1])
        before = self.world.state
        status = self.post(self.anyone(), value)
        if known:  # by the same bytes of the same signer: then it is the first answer once more
            assert status == "already_slashed" or self.world.state is before
        else:
            assert status == "ok"

    def nonsense(self) -> None:
        """Forged and mismatched evidence moves nothing."""
        if not self.deals:
            return
        deal = self.random.choice(self.deals)
        claims = self.claims(deal, 1, ["a"] * self.width(deal, 1))
        sound = deal.settle(claims)
        forged = msgspec.structs.replace(claims[0].commit, signer=deal.members[-1])
        foreign = msgspec.structs.replace(claims[0].opening, body=self.claims(deal, 1, ["z"])[0].opening.body)
        value = self.random.choice(
            [
                msgspec.structs.replace(sound, evidence=(*sound.evidence, forged)),
                msgspec.structs.replace(sound, openings=(*sound.openings, foreign)),
                msgspec.structs.replace(sound, evidence=sound.evidence[:-1]),
                Settle(network=self.world.network, agreement=digest("nothing"), evidence=(), openings=(), outcome=b""),
            ]
        )
        assert self.post(self.anyone(), value) != "ok"

    def step(self) -> None:
        operations: list[tuple[Callable[[], None], int]] = [
            (self.transfer, 20),
            (self.deposit, 8),
            (self.open, 20),
            (self.end, 19),
            (self.call, 8),
            (self.again, 10),
            (self.equivocate, 3),
            (self.nonsense, 8),
        ]
        (operation,) = self.random.choices([item for item, _ in operations], [share for _, share in operations])
        operation()
        self.check()
        self.world.wait(self.random.choice([0, 0, 1_000, 60_000]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_money_is_conserved_over_ten_thousand_operations_with_crashes(seed: int) -> None:
    simulation = Simulation(seed)
    while simulation.steps < OPERATIONS:
        simulation.step()
        if simulation.steps % 500 < 3:
            check(simulation.world.state)
    simulation.world.crash()
    check(simulation.world.state)
    assert simulation.crashes >= 3
    assert min(simulation.endings.values()) > 50
    assert set(simulation.endings) == {"accept", "split", "cancel", "expire", "force", "applied"}


def test_the_auditor_notices_a_ledger_that_makes_money() -> None:
    """The audit can fail: one unit too much in one account is found at once."""
    simulation = Simulation(2)
    for _ in range(50):
        simulation.step()
    state = simulation.world.state
    key = simulation.world.node.node_id
    richer = msgspec.structs.replace(state.accounts[key], balance_micro=state.accounts[key].balance_micro + 1)
    simulation.world.state = msgspec.structs.replace(state, accounts=state.accounts.put(key, richer))
    with pytest.raises(AssertionError):
        simulation.check()


@pytest.mark.slow
def test_ten_thousand_random_jobs_are_billed_by_the_quoted_rule_to_the_unit() -> None:
    dice = random.Random(45)
    world = World(providers=8, signatures=Notes)
    for who in world.providers:
        world.stand(
            who,
            prices=Prices(
                base_micro=dice.randint(0, 500),  # type: ignore[arg-type]
                per_mega_fuel_micro=dice.randint(0, 50),  # type: ignore[arg-type]
                attempt_micro=dice.randint(0, 9),  # type: ignore[arg-type]
            ),
            expires_ms=world.now + MONTH_MS,
        )
    start = {key: account.balance_micro for key, account in world.state.accounts.items()}
    earned = dict.fromkeys(start, 0)
    spent = 0
    for number in range(JOBS):
        deal = world.open("quorum" if number % 10 == 0 else "trust", k=3, terms={"rounds": 1})
        fuel = dice.choice([0, 1, 999_999, 1_000_000, 1_000_001, dice.randint(0, 10_000_000)])
        claims = [deal.claim(member, fuel=fuel) for member in deal.cohort()]
        reply = world.post(world.node, deal.settle(claims))
        settlement = decode(reply.events[0].event, Settlement)
        for payment, claim in zip(settlement.payments, claims, strict=False):
            prices = world.offers[claim.member].prices
            quoted = prices.base_micro + prices.per_mega_fuel_micro * ((fuel + 999_999) // 1_000_000)
            if quoted:
                assert (payment.account, payment.amount_micro) == (claim.member, quoted)
            earned[claim.member] += quoted
            spent += quoted
        assert sum(payment.amount_micro for payment in settlement.payments) == deal.opened.escrow_micro
        if number % 100 == 0:  # the crash between result and payment: the sender asks again, nobody is paid twice
            again = world.post(world.node, deal.settle(claims))
            assert not again.fresh
        world.wait(5_000)
    for who in world.providers:
        assert world.balance(who) == start[who.node_id] + earned[who.node_id]
    assert world.balance(world.requester) == start[world.requester.node_id] - spent
    assert spent == sum(earned.values())
    check(world.state)
    assert isinstance(deal.opened, EscrowOpened)
