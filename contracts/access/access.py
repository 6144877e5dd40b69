"""Objects that change, and who may read, write and own them. Only SENDER counts. See README.md beside this file."""

from mhr import address, buffer, emit, export, i64, limits, memory, nat, sender, set_i64, state

limits(cycles=200_000, state=1_048_576, arguments=8192)

NAME_BYTES_MAX = 64
VALUE_BYTES_MAX = 4096
MEMBERS_MAX = 64
ID_BYTES = 16
MEMBER_BYTES = ID_BYTES + 1
VERSION_BYTES = 8

NONE = 0
READER = 1
WRITER = 2
OWNER = 3
"""Each may do what those before it may."""

UNKNOWN = 1
TAKEN = 2
FORBIDDEN = 3
STALE = 4
BAD_NAME = 5
TOO_LARGE = 6
BAD_ROLE = 7
LAST_OWNER = 8
FULL = 9
BAD_ID = 10

CALLER = buffer(ID_BYTES)
KEY = buffer(1 + NAME_BYTES_MAX)
OBJECT = buffer(VERSION_BYTES + VALUE_BYTES_MAX)
"""How often it was written, and its value."""
MEMBERS = buffer(MEMBERS_MAX * MEMBER_BYTES)
"""Ids with their roles. Who is not here has none."""


def key(kind: nat, name: bytes) -> bytes:
    """Where an object (111) or its members (109) lie in the state."""
    assert 1 <= len(name) <= NAME_BYTES_MAX, BAD_NAME
    KEY[0] = kind & 255
    memory.copy(KEY[1:], name)
    return KEY[: 1 + len(name)]


def read_object(name: bytes) -> bytes:
    size = state.read(key(111, name), OBJECT)
    assert size >= 0, UNKNOWN
    return OBJECT[:size]


def write_object(name: bytes, version: int, value: bytes) -> None:
    assert len(value) <= VALUE_BYTES_MAX, TOO_LARGE
    set_i64(address(OBJECT), version)
    memory.copy(OBJECT[VERSION_BYTES:], value)
    state[key(111, name)] = OBJECT[: VERSION_BYTES + len(value)]


def read_members(name: bytes) -> bytes:
    size = state.read(key(109, name), MEMBERS)
    assert size >= 0, UNKNOWN
    return MEMBERS[:size]


def place_of(members: bytes, who: bytes) -> nat:
    """Where among the members one is; their end if it is not there."""
    for at in range(0, len(members), MEMBER_BYTES):
        if members[at : at + ID_BYTES] == who:
            return at
    return len(members)


def role_of(members: bytes, who: bytes) -> nat:
    at = place_of(members, who)
    return NONE if at == len(members) else members[at + ID_BYTES]


def owners_of(members: bytes) -> nat:
    count = 0
    for at in range(ID_BYTES, len(members), MEMBER_BYTES):
        if members[at] == OWNER:
            count += 1
    return count


def need(name: bytes, role: nat) -> None:
    """Ends the run unless whoever calls has this role or more."""
    sender(CALLER)
    assert role_of(read_members(name), CALLER) >= role, FORBIDDEN


@export
def create(name: bytes, value: bytes) -> None:
    """Makes an object that is whoever calls' own."""
    assert key(111, name) not in state, TAKEN
    sender(CALLER)
    memory.copy(MEMBERS, CALLER)
    MEMBERS[ID_BYTES] = OWNER
    state[key(109, name)] = MEMBERS[:MEMBER_BYTES]
    write_object(name, 1, value)


@export
def read(name: bytes) -> int:
    """Readers and above: emits the value; how often it was written."""
    need(name, READER)
    found = read_object(name)
    emit(found[VERSION_BYTES:])
    return i64(address(found))


@export
def write(name: bytes, version: nat, value: bytes) -> int:
    """Writers and above: replaces the value that was written `version` times; nothing that came since is lost."""
    need(name, WRITER)
    found = read_object(name)
    assert i64(address(found)) == version, STALE
    write_object(name, version + 1, value)
    return version + 1


@export
def grant(name: bytes, who: bytes, role: nat) -> None:
    """Owners: gives somebody a role instead of the one it has; 0 takes it away. One owner stays."""
    need(name, OWNER)
    assert len(who) == ID_BYTES, BAD_ID
    assert role <= OWNER, BAD_ROLE
    members = read_members(name)
    size, at = len(members), place_of(members, who)
    if at == size:
        assert size < len(MEMBERS), FULL
        memory.copy(MEMBERS[at:], who)
        size += MEMBER_BYTES
    MEMBERS[at + ID_BYTES] = role & 255
    if role == NONE:
        memory.copy(MEMBERS[at:], MEMBERS[at + MEMBER_BYTES : size])
        size -= MEMBER_BYTES
    assert owners_of(MEMBERS[:size]) > 0, LAST_OWNER
    state[key(109, name)] = MEMBERS[:size]


@export
def rights(name: bytes, who: bytes) -> int:
    """Anyone: 0 none, 1 reader, 2 writer, 3 owner."""
    return role_of(read_members(name), who)


@export
def remove(name: bytes) -> None:
    """Owners: the object and all roles are gone."""
    need(name, OWNER)
    del state[key(111, name)]
    del state[key(109, name)]
