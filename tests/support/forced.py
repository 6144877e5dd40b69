"""Members turn to the ledger about a job whose requester's node posts nothing (R7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.support.job_town import Play

from quorate.jobs.statements import own_statements
from quorate.model.claim import Opening
from quorate.model.codec import decode
from quorate.model.evidence import Proven, Signed
from quorate.model.ledger_events import WindowsOpened
from quorate.model.transaction import CloseForced, ForceCommit, ForceReveal, ForceRound
from quorate.model.units import NodeId


def said(play: Play) -> dict[str, list[Signed]]:
    """What the requester's node said, by noun."""
    found: dict[str, list[Signed]] = {}
    for signed in play.town.sign(play.town.node, *own_statements(play.state)):
        found.setdefault(signed.noun, []).append(signed)
    return found


def evidence_of(play: Play, member: NodeId) -> tuple[Signed, ...]:
    """What a member holds: its assignment, its commitment, the closing if there was one."""
    own = said(play)
    slot = next(slot for slot in play.state.current.slots if slot.member == member)
    place = [slot.member for slot in play.state.current.slots].index(member)
    asked = own["assignment"][-len(play.state.current.slots) :]
    commit = slot.commit or play.town.sign(play.town.identities[member], play.commitment(member))[0]
    return asked[place], commit, *own.get("round_close", [])[-1:]


def posted(play: Play, who: NodeId, value: Any) -> list[Proven]:
    reply, proven = play.town.post(play.town.identities[who], value)
    assert reply.answer.status == "ok", reply.answer
    return proven


def forced(play: Play, openings: Sequence[Opening]) -> Proven:
    """Members force the round that the requester's node will not settle; these open in the ledger's windows."""
    town, agreement = play.town, play.state.agreement_id
    slots = play.state.current.slots
    place = {"network": town.network, "agreement": agreement, "round": play.state.current.number}
    first = posted(play, slots[0].member, ForceRound(**place, evidence=evidence_of(play, slots[0].member)))
    windows = decode(first[0].event, WindowsOpened)
    for slot in slots[1:]:
        posted(play, slot.member, ForceCommit(**place, evidence=evidence_of(play, slot.member)))
    town.now = windows.commit_by_ms + 1
    for opening in openings:
        result = play.copies[opening.member]
        posted(play, opening.member, ForceReveal(**place, opening=opening, result=result))
    town.now = windows.reveal_by_ms + 1
    close = CloseForced(network=town.network, agreement=agreement)
    return posted(play, town.sequencer.node_id, close)[-1]
