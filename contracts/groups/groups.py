"""Groups that talk under one key after another: who is in, and for each key a wrap of it for each member of that time.
Keys and messages are sealed outside; the contract sees neither. See README.md beside this file."""

from mhr import address, buffer, emit, export, i64, limits, log, memory, nat, sender, set_i64, state

limits(cycles=1_000_000, state=4_194_304, arguments=40_960)

NAME_BYTES_MAX = 32
MEMBERS_MAX = 32
ID_BYTES = 16
SEAL_KEY_BYTES = 1216
WRAP_BYTES = 1168
"""A key of 32 bytes, sealed to one member by HPKE with X-Wing."""
MESSAGE_BYTES_MAX = 4096
KEPT = 4
"""Keys whose wraps are kept: the last ones."""

UNKNOWN = 1
TAKEN = 2
BAD_NAME = 3
NOT_ALLOWED = 4
NO_MEMBER = 5
MEMBER_ALREADY = 6
FULL = 7
WRONG_NUMBER = 8
BAD_SIZE = 9
NO_WRAP = 10
ROTATE_FIRST = 11
NO_SEAL_KEY = 12

CALLER = buffer(ID_BYTES)
KEY = buffer(1 + NAME_BYTES_MAX + 8 + ID_BYTES)
GROUP = buffer(ID_BYTES + 8 + 8 + 1)
"""Admin; the number of the key in use, 0 before the first; how many messages were sent; whether the members have
changed since (1)."""
NUMBER_AT = ID_BYTES
SENT_AT = NUMBER_AT + 8
CHANGED_AT = SENT_AT + 8
MEMBERS = buffer(MEMBERS_MAX * ID_BYTES)
"""Ids in ascending order."""
FORMER = buffer(MEMBERS_MAX * ID_BYTES)
WRAP = buffer(WRAP_BYTES)
SEAL_KEY = buffer(SEAL_KEY_BYTES)
MESSAGE = buffer(8 + 8 + ID_BYTES + MESSAGE_BYTES_MAX)


def key(kind: nat, group: bytes) -> bytes:
    """Where a group (103) or its members now (109) lie in the state."""
    assert 1 <= len(group) <= NAME_BYTES_MAX, BAD_NAME
    KEY[0] = kind & 255
    memory.copy(KEY[1:], group)
    return KEY[: 1 + len(group)]


def numbered_key(kind: nat, group: bytes, number: nat, who: bytes) -> bytes:
    """The members at the time of a key (101, `who` empty), or the wrap of it for one of them (119)."""
    size = len(key(kind, group))
    set_i64(address(KEY) + size, number)
    return KEY[: size + 8 + memory.copy(KEY[size + 8 :], who)]


def seal_key_of(who: bytes) -> bytes:
    assert len(who) == ID_BYTES, BAD_SIZE
    KEY[0] = 107
    memory.copy(KEY[1:], who)
    return KEY[: 1 + ID_BYTES]


def find(group: bytes) -> None:
    """Brings a group into GROUP and its members into MEMBERS, and notes who calls."""
    assert state.read(key(103, group), GROUP) >= 0, UNKNOWN
    sender(CALLER)


def read_members(group: bytes) -> bytes:
    size = max(state.read(key(109, group), MEMBERS), 0)
    return MEMBERS[:size]


def number_now() -> nat:
    return i64(address(GROUP) + NUMBER_AT)


def need_admin() -> None:
    assert GROUP[:ID_BYTES] == CALLER, NOT_ALLOWED


def place_of(members: bytes, who: bytes) -> nat:
    """Where one is among the members, or would be."""
    at = 0
    while at < len(members) and members[at : at + ID_BYTES] < who:
        at += ID_BYTES
    return at


def is_member(members: bytes, who: bytes) -> bool:
    at = place_of(members, who)
    return members[at : at + ID_BYTES] == who


def change_members(group: bytes, size: nat) -> None:
    """Saves MEMBERS; nothing more is sent under the key in use."""
    state[key(109, group)] = MEMBERS[:size]
    GROUP[CHANGED_AT] = 1
    state[key(103, group)] = GROUP


def take_out(group: bytes, who: bytes) -> None:
    members = read_members(group)
    assert is_member(members, who), NO_MEMBER
    assert GROUP[:ID_BYTES] != who, NOT_ALLOWED
    at = place_of(members, who)
    memory.copy(MEMBERS[at:], members[at + ID_BYTES :])
    change_members(group, len(members) - ID_BYTES)


def forget(group: bytes, number: nat) -> None:
    """Removes the wraps of an old key."""
    size = max(state.read(numbered_key(101, group, number, b""), FORMER), 0)
    for at in range(0, size, ID_BYTES):
        del state[numbered_key(119, group, number, FORMER[at : at + ID_BYTES])]
    del state[numbered_key(101, group, number, b"")]


@export
def publish(seal_key: bytes) -> None:
    """Shows the key that wraps for whoever calls are sealed to, instead of an earlier one."""
    assert len(seal_key) == SEAL_KEY_BYTES, BAD_SIZE
    sender(CALLER)
    state[seal_key_of(CALLER)] = seal_key


@export
def published(who: bytes) -> None:
    """Emits somebody's seal key."""
    assert state.read(seal_key_of(who), SEAL_KEY) >= 0, NO_SEAL_KEY
    emit(SEAL_KEY)


@export
def found(group: bytes) -> None:
    """Makes a group whose admin and only member is whoever calls. It has no key yet."""
    assert key(103, group) not in state, TAKEN
    sender(CALLER)
    memory.copy(GROUP, CALLER)
    memory.fill(GROUP[NUMBER_AT:], 0)
    memory.copy(MEMBERS, CALLER)
    change_members(group, ID_BYTES)


@export
def add(group: bytes, who: bytes) -> None:
    """The admin takes somebody in who has published a seal key."""
    find(group)
    need_admin()
    assert seal_key_of(who) in state, NO_SEAL_KEY
    members = read_members(group)
    assert not is_member(members, who), MEMBER_ALREADY
    assert len(members) < len(MEMBERS), FULL
    at = place_of(members, who)
    memory.copy(MEMBERS[at + ID_BYTES :], members[at:])
    memory.copy(MEMBERS[at:], who)
    change_members(group, len(members) + ID_BYTES)


@export
def remove(group: bytes, who: bytes) -> None:
    """The admin puts somebody out."""
    find(group)
    need_admin()
    take_out(group, who)


@export
def leave(group: bytes) -> None:
    """A member goes by itself. The admin stays."""
    find(group)
    take_out(group, CALLER)


@export
def rotate(group: bytes, number: nat, wraps: bytes) -> None:
    """The admin hands in the next key, wrapped for each member, in the order of `roster`. It is in use from now."""
    find(group)
    need_admin()
    members = read_members(group)
    assert number == number_now() + 1, WRONG_NUMBER
    assert len(wraps) == len(members) // ID_BYTES * WRAP_BYTES, BAD_SIZE
    start = 0
    for at in range(0, len(members), ID_BYTES):
        state[numbered_key(119, group, number, members[at : at + ID_BYTES])] = wraps[start : start + WRAP_BYTES]
        start += WRAP_BYTES
    state[numbered_key(101, group, number, b"")] = members
    if number > KEPT:
        forget(group, number - KEPT)
    set_i64(address(GROUP) + NUMBER_AT, number)
    GROUP[CHANGED_AT] = 0
    state[key(103, group)] = GROUP


@export
def wrap(group: bytes, number: nat) -> None:
    """Emits the wrap of a key for whoever calls. There is none of keys from before it came or after it went."""
    find(group)
    assert state.read(numbered_key(119, group, number, CALLER), WRAP) >= 0, NO_WRAP
    emit(WRAP)


@export
def send(group: bytes, number: nat, sealed: bytes) -> int:
    """A member logs a message that was sealed under the key in use, behind its number, the number of the key and who
    sent it. After a change of members the key has to be changed first. How many messages were sent."""
    find(group)
    assert is_member(read_members(group), CALLER), NO_MEMBER
    assert number == number_now(), WRONG_NUMBER
    assert GROUP[CHANGED_AT] == 0, ROTATE_FIRST
    assert 1 <= len(sealed) <= MESSAGE_BYTES_MAX, BAD_SIZE
    count = i64(address(GROUP) + SENT_AT)
    set_i64(address(MESSAGE), count)
    set_i64(address(MESSAGE) + 8, number)
    memory.copy(MESSAGE[16:], CALLER)
    size = 32 + memory.copy(MESSAGE[32:], sealed)
    log(MESSAGE[:size])
    set_i64(address(GROUP) + SENT_AT, count + 1)
    state[key(103, group)] = GROUP
    return count + 1


@export
def roster(group: bytes) -> tuple[int, int]:
    """Emits the ids of the members; the number of the key in use, and whether the members have changed since."""
    find(group)
    emit(read_members(group))
    return number_now(), GROUP[CHANGED_AT]
