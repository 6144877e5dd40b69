"""Every known adversary against every proof method: what is caught, what is not, as one table.

A cell is proved both ways by `test_adversaries.py`: where the table says `caught`, the adversary had its chance and
never reached its goal; where it says `not caught`, it reached its goal each time; `sometimes` is both, and says on what
it depends; `no chance` means that the method gives no occasion for it.

`python -m tests.simulation.adversaries` writes the table, and that of the odds, into docs/attacks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from tests.simulation.byzantine_requesters import Byzantine
from tests.simulation.checkers import Rules
from tests.simulation.customers import Customers, Habits
from tests.simulation.fleet import Asked, Fleet, Size, quorum
from tests.simulation.guests import honest_vote
from tests.simulation.scenario import Scenario, build, drain, proof
from tests.simulation.weather import Weather

from quorate.jobs.state import JobState
from quorate.model.settlement import Settlement
from quorate.model.units import ROUNDS_MAX, NodeId
from quorate.verify.quorum import odds, threshold

Cell = Literal["caught", "not caught", "sometimes", "no chance"]
METHODS = ("trust", "rerun", "quorum")
PAGE = Path(__file__).parents[2] / "docs" / "attacks.md"
POOL, SHARES, COHORTS = 100, (5, 10, 20, 30), (3, 5, 7, 10, 16)
JOBS = 30
SEED = 7


class Case(NamedTuple):
    """One job as it ended, and the world it ended in."""

    fleet: Fleet
    rules: Rules
    state: JobState
    settlement: Settlement | None
    adversaries: frozenset[NodeId]

    def present(self) -> frozenset[NodeId]:
        """The adversaries that had a place in a round."""
        return self.adversaries & {slot.member for past in self.state.rounds for slot in past.slots}

    def earned(self, member: NodeId, reasons: tuple[str, ...] = ("price", "attempt")) -> bool:
        payments = self.settlement.payments if self.settlement else ()
        return any(item.account == member and item.reason in reasons for item in payments)

    def lost_bond(self, party: NodeId) -> bool:
        return (self.state.agreement_id, party) in self.rules.money.lost


Judge = Callable[[Case], "bool | None"]
"""Whether the goal was reached; None when there was no occasion."""


def wrong_result_accepted(case: Case) -> bool | None:
    if not case.present():
        return None
    verdict = case.state.verdict
    if verdict is None or verdict.vote is None or case.state.condition != "completed":
        return False
    return verdict.vote != honest_vote(case.state.value, case.state.agreement_id)


def no_result(case: Case) -> bool | None:
    return case.state.condition != "completed" if case.present() else None


def paid_without_work(case: Case) -> bool | None:
    present = case.present()
    return any(case.earned(member) for member in present) if present else None


def bond_kept(case: Case) -> bool | None:
    committed = {slot.member for past in case.state.rounds for slot in past.slots if slot.commit} & case.present()
    return not any(case.lost_bond(member) for member in committed) if committed else None


def counted_without_a_place(case: Case) -> bool | None:
    if case.state.verdict is None:
        return None
    named = {member for ended in case.state.verdict.rounds for member in (*ended.agreed, *ended.dissented)}
    return bool(case.adversaries & named - case.present()) or any(
        case.earned(member) for member in case.adversaries - case.present()
    )


def victim_harmed(case: Case) -> bool | None:
    honest = {slot.member for past in case.state.rounds for slot in past.slots} - case.adversaries
    return any(case.lost_bond(member) for member in honest) if honest else None


def left_out_unpaid(case: Case) -> bool | None:
    left_out = {slot.member for past in case.state.rounds for slot in past.slots if slot.gone == "left out"}
    return any(not case.earned(member, ("price",)) for member in left_out) if left_out else None


def _requester(case: Case) -> Byzantine:
    node = case.fleet.requesters[0]
    assert isinstance(node, Byzantine)
    return node


def two_closings_and_bond_kept(case: Case) -> bool | None:
    closings = case.rules.statements.closings(case.state.agreement_id)
    return not case.lost_bond(case.state.value.core.requester) if closings > 1 else None


def read_and_unpaid(case: Case) -> bool | None:
    """It has the result, and nobody who brought it is paid the price."""
    brought = _requester(case).read.get(case.state.agreement_id, set())
    return not any(case.earned(member, ("price",)) for member in brought) if brought else None


class Adversary(NamedTuple):
    """`goal` is what it wants; `cells` what comes of it, method by method; `why` what stops it, or what does not."""

    name: str
    goal: str
    judge: Judge
    cells: Mapping[str, Cell]
    why: str
    members: Mapping[str, int] = {}
    requesters: Mapping[str, int] = {}
    quorum_word: str = "quorum of 3"
    providers: int = 9


def cells(trust: Cell, rerun: Cell, of_quorum: Cell) -> dict[str, Cell]:
    return {"trust": trust, "rerun": rerun, "quorum": of_quorum}


CAUGHT = cells("caught", "caught", "caught")
ADVERSARIES = (
    Adversary(
        "Wrong byte",
        "a wrong result is accepted",
        wrong_result_accepted,
        cells("not caught", "sometimes", "caught"),
        "One signed claim proves nothing by itself. A re-run catches it when the claim is chosen, one in N. A quorum "
        "needs as many liars with the same lie as its threshold.",
        members={"wrong_byte": 2},
    ),
    Adversary(
        "Stale result",
        "the result of another job is accepted",
        wrong_result_accepted,
        cells("not caught", "sometimes", "caught"),
        "As above: tags bind a claim to its job and agreement, but only a second execution shows what it should be.",
        members={"stale_result": 2},
    ),
    Adversary(
        "Whole cohort colludes",
        "a wrong result is accepted",
        wrong_result_accepted,
        cells("not caught", "not caught", "not caught"),
        "With the threshold in one hand the answer is theirs. The quote prints the odds of such a draw.",
        members={"colluder": 9},
    ),
    Adversary(
        "Copied vote",
        "be paid without running anything",
        paid_without_work,
        CAUGHT,
        "A commitment binds the member's own name and assignment (R4): a copy cannot be opened. It costs the job a "
        "round.",
        members={"copied_vote": 2},
    ),
    Adversary(
        "Equivocation",
        "sign two commitments and keep the bond",
        bond_kept,
        CAUGHT,
        "Both signed leaves go to the ledger, which takes the bond and sets the score to zero (R8).",
        members={"equivocation": 2},
    ),
    Adversary(
        "Refusal",
        "the job gets no result",
        no_result,
        CAUGHT,
        "The place goes to the next of the draw within the same round (R7).",
        members={"refusal": 2},
    ),
    Adversary(
        "Silence",
        "the job gets no result",
        no_result,
        CAUGHT,
        "A peer without a sign of life for five seconds loses its place to the next of the draw (R7).",
        members={"silence": 2},
    ),
    Adversary(
        "Slow-loris",
        "the job gets no result",
        no_result,
        CAUGHT,
        "The run clock of the one place ends; other places and jobs have clocks of their own.",
        members={"slow_loris": 2},
    ),
    Adversary(
        "False failure",
        "the job gets no result",
        no_result,
        cells("not caught", "sometimes", "caught"),
        "A failure votes for nothing, so a second member outvotes it with the next round. Where all members asked are "
        "one member, the job fails: submit it again, or ask for a quorum.",
        members={"false_failure": 2},
    ),
    Adversary(
        "Withheld opening",
        "the job gets no result",
        no_result,
        CAUGHT,
        "The round ends short and a fresh cohort takes over.",
        members={"withheld_opening": 2},
    ),
    Adversary(
        "Withheld opening, off the ledger",
        "waste a round and keep the bond",
        bond_kept,
        cells("not caught", "not caught", "not caught"),
        "Silence is not proof: a message may have been lost. It earns nothing and costs the job a round.",
        members={"withheld_opening": 2},
    ),
    Adversary(
        "Withheld opening, in a ledger window that runs out",
        "waste a round and keep the bond",
        bond_kept,
        CAUGHT,
        "Who commits on the ledger opens on the ledger, or loses the bond and half of the score (R7). A requester that "
        "settles before the window ends makes it void.",
        members={"hasty_withholder": 1},
        requesters={"never_acknowledges": 1},
    ),
    Adversary(
        "Unassigned voter",
        "a vote counts, or is paid, without a place in the draw",
        counted_without_a_place,
        CAUGHT,
        "The draw is replayed by everyone; a claim needs an assignment signed for its own member.",
        members={"unassigned_voter": 2},
    ),
    Adversary(
        "Forged signature",
        "an honest member loses its bond for words it never said",
        victim_harmed,
        CAUGHT,
        "Every statement and every piece of evidence is verified before anything is made of it.",
        members={"forged_signature": 2},
    ),
    Adversary(
        "Requester omits a commitment",
        "one member that committed is not paid its price",
        left_out_unpaid,
        cells("no chance", "no chance", "not caught"),
        "A closing lists at least the threshold, so only what is above it can be left out. The member that was left "
        "out opens in the ledger windows for the attempt fee, if it gets there before the settlement.",
        requesters={"omits_a_commit": 1},
        quorum_word="quorum 2 of 3",
    ),
    Adversary(
        "Requester closes a round twice",
        "show two closings and keep the bond",
        two_closings_and_bond_kept,
        CAUGHT,
        "A member that sees both posts them; the bond is shared among the members (R8).",
        requesters={"closes_twice": 1},
    ),
    Adversary(
        "Requester closes a round twice, each for others",
        "show two closings and keep the bond",
        two_closings_and_bond_kept,
        cells("no chance", "not caught", "not caught"),
        "Found out only when both closings come before one party. It gains nothing: the ledger takes one closing, and "
        "only openings that fit its commitments count.",
        requesters={"closes_apart": 1},
    ),
    Adversary(
        "Requester closes its eyes",
        "read the result and let the round look empty",
        read_and_unpaid,
        CAUGHT,
        "Members that computed the acceptance force the round; a result posted on the ledger stands for the "
        "acknowledgement. Above 256 KiB it cannot be posted: then only the attempt fee is safe. Only the first round "
        "that agreed is paid: members of later rounds have worked for nothing.",
        requesters={"closes_its_eyes": 1},
    ),
    Adversary(
        "Requester never acknowledges",
        "read the result and never settle",
        read_and_unpaid,
        CAUGHT,
        "As above: the members settle without it.",
        requesters={"never_acknowledges": 1},
    ),
)


def scenario_of(adversary: Adversary, method: str) -> Scenario:
    words = {"trust": "trust", "rerun": "rerun 1 in 2", "quorum": adversary.quorum_word}
    return Scenario(
        name=f"{adversary.name} against {method}",
        size=Size(adversary.providers, 1),
        habits=Habits(1, (proof(words[method]),)),
        weather=Weather(run_ms_min=5, run_ms_max=60),
        members=adversary.members,
        requesters=adversary.requesters,
    )


def cases(adversary: Adversary, method: str) -> list[Case]:
    """`JOBS` jobs in a small world with this adversary, each as it ended."""
    scenario = scenario_of(adversary, method)
    fleet, customers, rules = build(scenario, SEED)
    _work(fleet, customers, scenario)
    drain(fleet, customers)
    rules.finish()
    found = []
    for key in customers.placed:
        state = fleet.requesters[0].state(key)
        if state is not None and state.agreement:
            settlement = rules.money.settlements.get(state.agreement_id)
            found.append(Case(fleet, rules, state, settlement, rules.byzantine))
    return found


def _work(fleet: Fleet, customers: Customers, scenario: Scenario) -> None:
    for number in range(JOBS):
        asked = Asked(b"program %d" % (number % 5), b"input %d" % number, scenario.habits.proofs[0])
        fleet.world.at(fleet.world.now + 300 * number, customers.order, 0, asked, number.to_bytes(32, "big"))
    fleet.world.run(fleet.world.now + 300 * JOBS + 1, 1 << 40)


def outcome(adversary: Adversary, method: str) -> tuple[Cell, list[bool]]:
    """The cell as the simulation shows it, and the goals reached or missed one by one."""
    reached = [done for case in cases(adversary, method) if (done := adversary.judge(case)) is not None]
    if not reached:
        return "no chance", reached
    return "not caught" if all(reached) else "sometimes" if any(reached) else "caught", reached


def table() -> str:
    """The table as Markdown."""
    lines = ["| adversary | its goal | trust | re-run | quorum | why |", "| --- | --- | --- | --- | --- | --- |"]
    for item in ADVERSARIES:
        row = [item.name, item.goal, *(item.cells[method] for method in METHODS), item.why]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def odds_table() -> str:
    """Wrong and stall in percent, over all rounds that a hundred operators allow."""
    lines = [
        "| cohort | " + " | ".join(f"{share} % collude: wrong / stall" for share in SHARES) + " |",
        "| --- |" + " --- |" * len(SHARES),
    ]
    for size in COHORTS:
        asked = quorum(size)
        cells = []
        for share in SHARES:
            wrong, stall = odds(POOL, share, size, threshold(asked), min(ROUNDS_MAX, POOL // size))
            cells.append(f"{_percent(wrong)} / {_percent(stall)}")
        lines.append(f"| {threshold(asked)} of {size} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _percent(ppb: int) -> str:
    """Parts per 10^9, rounded up already, as a percentage of at most three digits."""
    return "0" if not ppb else f"{ppb / 10**7:.2g} %" if ppb >= 10**4 else "below 0.001 %"


def page_with_tables(page: str) -> str:
    for mark, text in (("adversaries", table()), ("odds", odds_table())):
        begin, end = f"<!-- {mark}: begin -->\n", f"<!-- {mark}: end -->\n"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = before + begin + text + end + after
    return page


def main() -> None:
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
