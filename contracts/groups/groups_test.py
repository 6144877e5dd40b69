"""Tests of groups, with real keys and messages: `quorate contract test contracts/groups/groups.py`."""

from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quorate.crypto.wrapping import SealKey, unwrap, wrap
from quorate.errors import BadSeal
from quorate.execute.bytecode.replica import Replica, account

(UNKNOWN, TAKEN, BAD_NAME, NOT_ALLOWED, NO_MEMBER, MEMBER_ALREADY, FULL, WRONG_NUMBER, BAD_SIZE, NO_WRAP) = range(1, 11)
ROTATE_FIRST, NO_SEAL_KEY = 11, 12
GROUP = b"orchard"
KEY_BYTES = 32


def info(replica: Replica, number: int, member: bytes) -> bytes:
    """What a wrap is for, as README.md says: it opens for nothing else."""
    place = replica.self_id + bytes([len(GROUP)]) + GROUP + number.to_bytes(8, "little")
    return b"quorate group key v1" + place + member


class Person:
    """What a member's program keeps: its seal key, and the keys of the group that it could open."""

    def __init__(self, replica: Replica, name: str, own_id: bytes = b"") -> None:
        self.id = own_id or account(name)
        self.replica = replica
        self.private = SealKey(blake2b(name.encode(), digest_size=32).digest())
        self.keys: dict[int, bytes] = {}
        replica.call("publish", self.private.public, sender=self.id)

    def learn(self, number: int) -> None:
        wrapped = self.replica.call("wrap", GROUP, number, sender=self.id).emitted
        self.keys[number] = unwrap(self.private, wrapped, info(self.replica, number, self.id))

    def say(self, text: bytes) -> bytes:
        """Sends a message under the newest key; the record of the log, which everybody sees."""
        number = max(self.keys)
        nonce = blake2b(text, digest_size=12).digest()
        sealed = nonce + AESGCM(self.keys[number]).encrypt(nonce, text, info(self.replica, number, self.id))
        return self.replica.call("send", GROUP, number, sealed, sender=self.id).logs[0]

    def hear(self, record: bytes) -> bytes:
        """The text of a record. Raises KeyError where the key is missing, InvalidTag where it does not fit."""
        number, sender, sealed = int.from_bytes(record[8:16], "little"), record[16:32], record[32:]
        return AESGCM(self.keys[number]).decrypt(sealed[:12], sealed[12:], info(self.replica, number, sender))

    def tries(self, record: bytes) -> bool:
        """Whether any key this person ever had opens a record."""
        number, sender, sealed = int.from_bytes(record[8:16], "little"), record[16:32], record[32:]
        for key in self.keys.values():
            try:
                AESGCM(key).decrypt(sealed[:12], sealed[12:], info(self.replica, number, sender))
            except InvalidTag:
                continue
            return True
        return False


class Admin(Person):
    """Makes the keys."""

    def rotate(self, number: int) -> None:
        key = blake2b(b"key %d" % number, digest_size=KEY_BYTES).digest()
        members = self.replica.call("roster", GROUP, sender=self.id).emitted
        wraps = b""
        for at in range(0, len(members), 16):
            member = members[at : at + 16]
            public = self.replica.call("published", member).emitted
            wraps += wrap(public, key, info(self.replica, number, member))
        self.replica.call("rotate", GROUP, number, wraps, sender=self.id)
        self.learn(number)


def talking(replica: Replica) -> tuple[Admin, Person, Person]:
    """A group of two under its first key, and somebody who is not in it."""
    admin, ann, ben = Admin(replica, "admin"), Person(replica, "ann"), Person(replica, "ben")
    replica.call("found", GROUP, sender=admin.id)
    replica.call("add", GROUP, ann.id, sender=admin.id)
    admin.rotate(1)
    ann.learn(1)
    return admin, ann, ben


def test_members_read_one_another(replica):
    admin, ann, _ = talking(replica)
    assert admin.hear(ann.say(b"hello")) == b"hello"
    assert ann.hear(admin.say(b"hello yourself")) == b"hello yourself"


def test_a_removed_member_cannot_read_on(replica):
    admin, ann, _ = talking(replica)
    replica.call("remove", GROUP, ann.id, sender=admin.id)
    replica.refuses(NO_MEMBER, "send", GROUP, 1, b"still here", sender=ann.id)
    admin.rotate(2)
    record = admin.say(b"without ann")
    replica.refuses(NO_WRAP, "wrap", GROUP, 2, sender=ann.id)
    assert not ann.tries(record)
    for key, value in replica.state.entries:
        if key[:1] == b"w":
            for number in (1, 2):
                opens_for(ann, value, number, expected=key.endswith((1).to_bytes(8, "little") + ann.id) and number == 1)


def opens_for(person: Person, wrapped: bytes, number: int, *, expected: bool) -> None:
    """Every wrap in the state is tried, not only those that the contract would hand out: the state is public."""
    try:
        unwrap(person.private, wrapped, info(person.replica, number, person.id))
    except BadSeal:
        assert not expected
    else:
        assert expected


def test_a_new_member_cannot_read_back(replica):
    admin, _, ben = talking(replica)
    before = admin.say(b"before ben")
    replica.call("add", GROUP, ben.id, sender=admin.id)
    admin.rotate(2)
    ben.learn(2)
    after = admin.say(b"welcome")
    assert ben.hear(after) == b"welcome"
    replica.refuses(NO_WRAP, "wrap", GROUP, 1, sender=ben.id)
    assert not ben.tries(before)
    for key, value in replica.state.entries:
        if key[:1] == b"w":
            opens_for(ben, value, 1, expected=False)


def test_nothing_is_sent_between_a_change_and_the_next_key(replica):
    admin, ann, ben = talking(replica)
    for function, person in (("add", ben), ("remove", ann)):
        one = replica.fork()
        one.call(function, GROUP, person.id, sender=admin.id)
        one.refuses(ROTATE_FIRST, "send", GROUP, 1, b"x", sender=admin.id)
    replica.call("leave", GROUP, sender=ann.id)
    replica.refuses(ROTATE_FIRST, "send", GROUP, 1, b"x", sender=admin.id)
    admin.rotate(2)
    replica.refuses(WRONG_NUMBER, "send", GROUP, 1, b"x", sender=admin.id)
    assert admin.hear(admin.say(b"alone")) == b"alone"


def test_only_the_admin_changes_the_group(replica):
    admin, ann, ben = talking(replica)
    for person in (ann, ben):
        replica.refuses(NOT_ALLOWED, "add", GROUP, ben.id, sender=person.id)
        replica.refuses(NOT_ALLOWED, "remove", GROUP, ann.id, sender=person.id)
        replica.refuses(NOT_ALLOWED, "rotate", GROUP, 2, bytes(2 * 1168), sender=person.id)
    replica.refuses(NO_MEMBER, "send", GROUP, 1, b"x", sender=ben.id)
    replica.refuses(NO_MEMBER, "leave", GROUP, sender=ben.id)
    replica.refuses(NOT_ALLOWED, "leave", GROUP, sender=admin.id)
    replica.refuses(NOT_ALLOWED, "remove", GROUP, admin.id, sender=admin.id)


def test_a_rotation_has_a_wrap_for_each_member_and_the_next_number(replica):
    admin, _, _ = talking(replica)
    for size in (0, 1168, 2 * 1168 - 1, 3 * 1168):
        replica.refuses(BAD_SIZE, "rotate", GROUP, 2, bytes(size), sender=admin.id)
    for number in (0, 1, 3):
        replica.refuses(WRONG_NUMBER, "rotate", GROUP, number, bytes(2 * 1168), sender=admin.id)


def test_a_wrap_that_was_moved_does_not_open(replica):
    _, ann, _ = talking(replica)
    wrapped = replica.call("wrap", GROUP, 1, sender=ann.id).emitted
    for about in (info(replica, 2, ann.id), info(replica, 1, account("ben")), info(replica, 1, ann.id)[:-1]):
        try:
            unwrap(ann.private, wrapped, about)
        except BadSeal:
            continue
        raise AssertionError("a wrap opened for another use")


def test_who_is_added_has_a_seal_key_and_is_no_member_yet(replica):
    admin, ann, _ = talking(replica)
    replica.refuses(NO_SEAL_KEY, "add", GROUP, account("nobody yet"), sender=admin.id)
    replica.refuses(MEMBER_ALREADY, "add", GROUP, ann.id, sender=admin.id)
    replica.refuses(NO_MEMBER, "remove", GROUP, account("ben"), sender=admin.id)
    replica.refuses(BAD_SIZE, "publish", bytes(1215))
    replica.refuses(BAD_SIZE, "published", b"short")
    replica.refuses(NO_SEAL_KEY, "published", account("nobody yet"))


def test_a_group_has_room_for_32_and_keeps_four_keys(replica):
    admin = account("admin")
    replica.call("found", GROUP, sender=admin)
    for number in range(31):
        member = account(f"member {number}")
        replica.call("publish", bytes([number]) * 1216, sender=member)
        replica.call("add", GROUP, member, sender=admin)
    replica.call("publish", bytes(1216), sender=account("one more"))
    replica.refuses(FULL, "add", GROUP, account("one more"), sender=admin)
    for number in range(1, 8):
        replica.call("rotate", GROUP, number, bytes([number]) * (32 * 1168), sender=admin)
    wraps = [key for key, _ in replica.state.entries if key[:1] == b"w"]
    assert len(wraps) == 4 * 32
    replica.refuses(NO_WRAP, "wrap", GROUP, 3, sender=account("member 9"))
    assert replica.call("wrap", GROUP, 4, sender=account("member 9")).emitted == bytes([4]) * 1168
    roster = replica.call("roster", GROUP)
    assert roster.results == (7, 0)
    assert roster.emitted == b"".join(sorted(roster.emitted[at : at + 16] for at in range(0, 512, 16)))


def test_names_and_messages_have_bounds(replica):
    admin, _, _ = talking(replica)
    replica.refuses(TAKEN, "found", GROUP, sender=account("ben"))
    for name in (b"", b"x" * 33):
        replica.refuses(BAD_NAME, "found", name)
    replica.refuses(UNKNOWN, "roster", b"meadow")
    for sealed in (b"", bytes(4097)):
        replica.refuses(BAD_SIZE, "send", GROUP, 1, sealed, sender=admin.id)
    assert replica.call("send", GROUP, 1, bytes(4096), sender=admin.id).value == 1
