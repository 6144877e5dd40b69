"""Tests of access control: `quorate contract test contracts/access/access.py`."""

from quorate.execute.bytecode.replica import Replica, account

UNKNOWN, TAKEN, FORBIDDEN, STALE, BAD_NAME, TOO_LARGE, BAD_ROLE, LAST_OWNER, FULL, BAD_ID = range(1, 11)
STRANGER, READER, WRITER, OWNER = range(4)
PEOPLE = [account(name) for name in ("stranger", "reader", "writer", "owner")]
NAME = b"minutes"

OPERATIONS = {
    "read": ((NAME,), READER),
    "write": ((NAME, 1, b"changed"), WRITER),
    "grant": ((NAME, account("somebody"), READER), OWNER),
    "remove": ((NAME,), OWNER),
    "rights": ((NAME, PEOPLE[OWNER]), STRANGER),
}
"""Of each: its arguments, and the least role that may do it."""


def shared(replica: Replica) -> None:
    """An object with one of each role."""
    replica.call("create", NAME, b"value", sender=PEOPLE[OWNER])
    for role in (READER, WRITER):
        replica.call("grant", NAME, PEOPLE[role], role, sender=PEOPLE[OWNER])


def test_every_role_may_do_what_it_may_and_nothing_else(replica):
    shared(replica)
    for operation, (arguments, least) in OPERATIONS.items():
        for role, person in enumerate(PEOPLE):
            attempt = replica.fork()
            if role >= least:
                attempt.call(operation, *arguments, sender=person)
            else:
                attempt.refuses(FORBIDDEN, operation, *arguments, sender=person)
                assert attempt.state == replica.state


def test_nothing_but_the_sender_says_who_calls(replica):
    """Whatever stands in the arguments: an id there is somebody that is spoken of, never who speaks."""
    shared(replica)
    owner = PEOPLE[OWNER]
    for arguments in [(NAME, owner, OWNER), (NAME, PEOPLE[STRANGER], OWNER)]:
        replica.refuses(FORBIDDEN, "grant", *arguments, sender=PEOPLE[STRANGER])
    replica.refuses(FORBIDDEN, "write", NAME, 1, owner, sender=PEOPLE[STRANGER])
    for at in range(16):
        near = bytearray(owner)
        near[at] ^= 1
        replica.refuses(FORBIDDEN, "read", NAME, sender=bytes(near))


def test_roles_are_given_changed_and_taken_away(replica):
    shared(replica)
    reader, owner = PEOPLE[READER], PEOPLE[OWNER]
    replica.call("grant", NAME, reader, WRITER, sender=owner)
    assert replica.call("write", NAME, 1, b"second", sender=reader).value == 2
    replica.call("grant", NAME, reader, STRANGER, sender=owner)
    replica.refuses(FORBIDDEN, "read", NAME, sender=reader)
    assert replica.call("rights", NAME, reader).value == STRANGER
    assert replica.call("read", NAME, sender=PEOPLE[WRITER]).emitted == b"second"


def test_an_object_always_has_an_owner(replica):
    shared(replica)
    owner, writer = PEOPLE[OWNER], PEOPLE[WRITER]
    for role in (STRANGER, READER, WRITER):
        replica.refuses(LAST_OWNER, "grant", NAME, owner, role, sender=owner)
    replica.call("grant", NAME, writer, OWNER, sender=owner)
    replica.call("grant", NAME, owner, STRANGER, sender=owner)
    replica.refuses(FORBIDDEN, "grant", NAME, owner, OWNER, sender=owner)
    replica.refuses(LAST_OWNER, "grant", NAME, writer, READER, sender=writer)


def test_a_write_that_did_not_see_the_last_one_is_refused(replica):
    shared(replica)
    replica.call("write", NAME, 1, b"second", sender=PEOPLE[WRITER])
    replica.refuses(STALE, "write", NAME, 1, b"lost", sender=PEOPLE[OWNER])
    read = replica.call("read", NAME, sender=PEOPLE[READER])
    assert (read.emitted, read.value) == (b"second", 2)


def test_a_removed_object_leaves_no_rights_behind(replica):
    shared(replica)
    replica.refuses(TAKEN, "create", NAME, b"", sender=PEOPLE[STRANGER])
    replica.call("remove", NAME, sender=PEOPLE[OWNER])
    assert replica.state.entries == ()
    replica.refuses(UNKNOWN, "read", NAME, sender=PEOPLE[OWNER])
    replica.call("create", NAME, b"", sender=PEOPLE[STRANGER])
    replica.refuses(FORBIDDEN, "read", NAME, sender=PEOPLE[OWNER])


def test_what_is_out_of_bounds_is_refused(replica):
    shared(replica)
    owner = PEOPLE[OWNER]
    for name in (b"", b"x" * 65):
        replica.refuses(BAD_NAME, "create", name, b"", sender=owner)
    replica.refuses(TOO_LARGE, "write", NAME, 1, bytes(4097), sender=owner)
    replica.call("write", NAME, 1, bytes(4096), sender=owner)
    replica.refuses(BAD_ROLE, "grant", NAME, account("x"), 4, sender=owner)
    replica.refuses(BAD_ID, "grant", NAME, b"short", READER, sender=owner)


def test_there_is_room_for_64_members(replica):
    owner = PEOPLE[OWNER]
    replica.call("create", NAME, b"", sender=owner)
    for number in range(63):
        replica.call("grant", NAME, account(f"reader {number}"), READER, sender=owner)
    replica.refuses(FULL, "grant", NAME, account("one more"), READER, sender=owner)
    replica.call("grant", NAME, account("reader 5"), STRANGER, sender=owner)
    replica.call("grant", NAME, account("one more"), READER, sender=owner)
    replica.call("read", NAME, sender=account("reader 62"))


def test_the_caps_hold_for_the_dearest_call(replica):
    """A refusal for want of cycles would make a full object unusable."""
    owner = PEOPLE[OWNER]
    replica.call("create", b"n" * 64, bytes(4096), sender=account("first"))
    for number in range(62):
        replica.call("grant", b"n" * 64, account(f"reader {number}"), READER, sender=account("first"))
    replica.call("grant", b"n" * 64, owner, OWNER, sender=account("first"))
    replica.call("write", b"n" * 64, 1, bytes(4096), sender=owner)
    replica.call("grant", b"n" * 64, account("reader 0"), STRANGER, sender=owner)
