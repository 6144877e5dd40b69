"""Explanations and quotes as people read them: amounts with units, rows as tables, reasons as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from quorate.api import render
from quorate.errors import QuorateError

PARTS = 10**9
SAID = {
    "nothing": "asked, no word yet",
    "ack": "has accepted",
    "started": "is running it",
    "commit": "has committed to a result",
    "opening": "has opened its result",
}


def print_explanation(found: Mapping[str, Any]) -> None:
    """Why a job stands where it stands."""
    render.say(f"job: {found['job']}")
    render.say(f"state: {found['state'].replace('_', ' ')} (stage {found['stage']})")
    if found.get("round"):
        render.say(f"round: {found['round']} of {found['rounds_max']}")
    clock = found["clock"]
    if clock == "none":
        render.say("clock: none is running")
    else:
        render.say(f"clock: {clock}, {render.duration(found['clock_left_ms'])} left")
    if found["error"]:
        render.say(f"error: {found['error']}: {found['detail']}".rstrip(": "))
    if removed := found.get("removed"):
        render.title("Which rule left which node out")
        render.say_table(("node", "rule", "why"), [(row["node"], row["rule"], f"it {row['why']}") for row in removed])
    if members := found.get("members"):
        render.title("Who was asked, and what was last heard")
        render.say_table(("node", "round", "last heard"), [_member(row) for row in members])
    if notes := found["notes"]:
        render.title("What was decided, and when")
        render.say_table(("time", "what"), [(_clock_time(line["time_ms"]), line["text"]) for line in notes])


def _member(row: Mapping[str, Any]) -> tuple[object, ...]:
    said = SAID.get(row["said"], row["said"]) if row["holds"] else f"lost its place: {row['said']}"
    return (row["node"][:8], row["round"], said)


def _clock_time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000).strftime("%H:%M:%S.") + f"{time_ms % 1000:03d}"


def print_quote(found: Mapping[str, Any]) -> None:
    """What a job would cost, who would see what, how it could go wrong; both dials whole."""
    if not found["error"]:
        _print_price(found)
    render.title("Who sees what")
    for sentence in found["who_sees"]:
        render.say_wrapped(sentence)
    if found["risk"]:
        _print_risk(found["risk"])
    for name in ("privacy", "proof"):
        render.title(f"The {name} dial")
        rows = [(row["name"], row["state"], row["meaning"]) for row in found[name]]
        render.say_table((name, "state", "meaning"), rows)
    if found["offers"]:
        _print_offers(found["offers"])
    if found["removed"]:
        render.title("Left out")
        for line in found["removed"]:
            render.say_wrapped(line)
    render.title("Good to know")
    for sentence in found["sentences"]:
        render.say_wrapped(sentence)


def refusal(found: Mapping[str, Any]) -> QuorateError | None:
    """The error that the job would end with if it were submitted now; None when it could be matched."""
    if not found.get("error"):
        return None
    from quorate.api.problems import error_named

    field = {"CohortTooLarge": "replication", "UnaffordableJob": "budget"}.get(found["error"], "roster")
    fix = f"--budget {found['needed_micro']}" if found["needed_micro"] else ""
    return error_named(found["error"], found["detail"], field=field, fix=fix)


def _print_price(found: Mapping[str, Any]) -> None:
    rows = [
        ("price", f"{found['least_micro']:,} to {render.money(found['most_micro'])}"),
        ("attempts", f"at most {render.money(found['attempts_micro'])} to members whose work does not count"),
        ("escrow", f"{render.money(found['escrow_micro'])} held until the job is settled, the rest comes back"),
        ("budget", render.money(found["budget_micro"])),
        ("bond", f"{render.money(found['bond_micro'])} that each member stakes on playing fair"),
        ("cohort", _cohort(found)),
        ("engine", found["engine"]),
    ]
    for name, text in rows:
        render.say_field(name, text)


def _cohort(found: Mapping[str, Any]) -> str:
    replicas = render.plural(found["replicas"], "replica")
    rounds, reserves = render.plural(found["rounds"], "round"), render.plural(found["reserves"], "reserve")
    return f"{replicas}, {found['needed']} must agree; the roster allows {rounds} and {reserves}"


def _print_risk(risk: Mapping[str, Any]) -> None:
    render.title(f"If {risk['colluders']} of the {risk['operators']} operators here work together against you")
    render.say_table(
        ("outcome", "odds"),
        [("a wrong result is accepted", odds(risk["wrong_ppb"])), ("no result at all", odds(risk["stall_ppb"]))],
    )
    render.say("The draw is taken as even; members that collude vote together.")


def _print_offers(offers: list[Mapping[str, Any]]) -> None:
    render.title("The roster: what a run costs there, in micro-credits")
    rows = [
        (
            row["operator"],
            row["provider"][:8],
            row["device_class"],
            row["region"],
            row["least_micro"],
            row["most_micro"],
            row["attempt_micro"],
            ", ".join(row["simulated"]) or "nothing",
        )
        for row in offers
    ]
    render.say_table(("operator", "node", "class", "region", "least", "most", "attempt", "simulated"), rows)


def odds(parts_per_billion: int) -> str:
    """Odds in the words people use: never, 1 in 1,250, 3.5 %, always."""
    if parts_per_billion <= 0:
        return "never"
    if parts_per_billion >= PARTS:
        return "always"
    if parts_per_billion >= PARTS // 100:
        return f"{parts_per_billion * 100 / PARTS:.3g} %"
    return f"1 in {PARTS // parts_per_billion:,}"
