"""Whatever an admin does: of each key there is a wrap for exactly those who were members when it came. That wraps and
messages then open for nobody else is tested beside the contract, in contracts/groups/groups_test.py."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.shipped import replica_of

from quorate.execute.bytecode.engines import Engine
from quorate.execute.bytecode.replica import Refused, account

GROUP = b"orchard"
PEOPLE = [account(name) for name in ("admin", "ann", "ben", "cleo")]
ADMIN = PEOPLE[0]
STEPS = st.one_of(
    st.tuples(st.sampled_from(["add", "remove", "leave"]), st.sampled_from(PEOPLE)),
    st.tuples(st.just("rotate"), st.just(ADMIN)),
)
KEPT = 4


def wrap_for(number: int, member: bytes) -> bytes:
    return (number.to_bytes(2, "big") + member).ljust(1168, b"w")


@given(st.lists(STEPS, max_size=20))
def test_a_wrap_is_there_for_who_was_a_member_and_for_nobody_else(engine: Engine, steps: list[Any]) -> None:
    replica = replica_of("groups", engine)
    for person in PEOPLE:
        replica.call("publish", person * 76, sender=person)
    replica.call("found", GROUP, sender=ADMIN)
    members, of_key = {ADMIN}, dict[int, set[bytes]]()
    for step, person in steps:
        before = replica.state
        try:
            if step == "rotate":
                number = len(of_key) + 1
                replica.call(
                    "rotate", GROUP, number, b"".join(wrap_for(number, one) for one in sorted(members)), sender=ADMIN
                )
                of_key[number] = set(members)
            elif step == "leave":
                replica.call("leave", GROUP, sender=person)
            else:
                replica.call(step, GROUP, person, sender=ADMIN)
            members = members | {person} if step == "add" else members - {person} if step != "rotate" else members
        except Refused:
            assert replica.state == before
            assert person == ADMIN or (person in members) == (step == "add")
    assert replica.call("roster", GROUP).emitted == b"".join(sorted(members))
    for number, known in of_key.items():
        for person in PEOPLE:
            if person in known and number > len(of_key) - KEPT:
                assert replica.call("wrap", GROUP, number, sender=person).emitted == wrap_for(number, person)
            else:
                replica.refuses(10, "wrap", GROUP, number, sender=person)
