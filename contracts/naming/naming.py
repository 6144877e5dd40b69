"""Names for a mesh: whoever registers a name first has it until it expires; deeds that were signed offline are merged
in by anyone, and all replicas settle on the same one. See README.md beside this file."""

from mhr import (
    address,
    buffer,
    cbor,
    emit,
    epoch,
    export,
    i64,
    limits,
    memory,
    nat,
    self_id,
    sender,
    set_i64,
    state,
    verify_sig,
)

limits(cycles=4_000_000, state=1_048_576, arguments=8192)

NAME_BYTES_MAX = 64
TARGET_BYTES_MAX = 128
EPOCHS_MAX = 10_000
OWNER_BYTES = 16
HEAD_BYTES = OWNER_BYTES + 8

SINCE_AT = 8
KEY_AT = 16
OWNER_AT = 48
NAME_AT = 64
SIGNATURE_BYTES = 64
"""A deed is: until, since (eight bytes each, big-endian), key (32), owner (16), length of the name (1), name, length
of the target (1), target, signature (64). Of two deeds of one key the one whose bytes are greater counts."""
DEED_BYTES_MAX = NAME_AT + 1 + NAME_BYTES_MAX + 1 + TARGET_BYTES_MAX + SIGNATURE_BYTES
DEEDS_MAX = 8
"""Keys that may deed one name at a time: those whose deeds are the greatest."""
DOMAIN = b"quorate naming deed v1  "
DOMAIN_BYTES = len(DOMAIN)

BAD_NAME = 1
TAKEN = 2
UNKNOWN = 3
BAD_TARGET = 4
BAD_TERM = 5
NOT_OWNER = 6
HAS_DEED = 7
CUT_OFF = 8
BAD_SIGNATURE = 9

CALLER = buffer(16)
RECORD = buffer(152)
"""Owner, 16 bytes; the first epoch in which the name is free again, 8 bytes; what the name stands for."""
DEEDS_KEY = buffer(1 + NAME_BYTES_MAX)
DEEDS = buffer(DEEDS_MAX * DEED_BYTES_MAX)
"""The deeds to one name, the greatest first."""
MERGED = buffer(DEEDS_MAX * DEED_BYTES_MAX)
MESSAGE = buffer(DOMAIN_BYTES + 16 + DEED_BYTES_MAX)


def is_letter(byte: int) -> bool:
    """Small letters, digits, and what joins them."""
    return 97 <= byte <= 122 or 48 <= byte <= 57 or byte == 45 or byte == 46


def check_name(name: bytes) -> None:
    """`maryam` or `maryam@tehran-mesh`: one @ at most, and neither at the beginning nor at the end."""
    assert 1 <= len(name) <= NAME_BYTES_MAX, BAD_NAME
    marks = 0
    for i in range(len(name)):
        if name[i] == 64:
            marks += 1
        else:
            assert is_letter(name[i]), BAD_NAME
    assert marks <= 1, BAD_NAME
    assert name[0] != 64, BAD_NAME
    assert name[-1] != 64, BAD_NAME


def find(name: bytes) -> int:
    """Brings the record of a name that is registered and has not expired into RECORD; its size, or -1."""
    size = state.read(name, RECORD)
    if size < HEAD_BYTES or i64(address(RECORD) + OWNER_BYTES) <= epoch():
        return -1
    return size


def write(name: bytes, target: bytes, expires: int) -> None:
    memory.copy(RECORD, CALLER)
    set_i64(address(RECORD) + OWNER_BYTES, expires)
    memory.copy(RECORD[HEAD_BYTES:], target)
    state[name] = RECORD[: HEAD_BYTES + len(target)]


def deeds_key(name: bytes) -> bytes:
    """Where the deeds to a name lie: no name begins with a question mark."""
    DEEDS_KEY[0] = 63
    memory.copy(DEEDS_KEY[1:], name)
    return DEEDS_KEY[: 1 + len(name)]


def read_deeds(name: bytes) -> bytes:
    size = max(state.read(deeds_key(name), DEEDS), 0)
    return DEEDS[:size]


def end_of(data: bytes, at: nat) -> nat:
    """The place behind the deed at a place, all of which is there."""
    name_at = at + NAME_AT
    assert name_at < len(data), CUT_OFF
    target_at = name_at + 1 + data[name_at]
    assert target_at < len(data), CUT_OFF
    end = target_at + 1 + data[target_at] + SIGNATURE_BYTES
    assert end <= len(data), CUT_OFF
    return end


def name_of(deed: bytes) -> bytes:
    return deed[NAME_AT + 1 : NAME_AT + 1 + deed[NAME_AT]]


def target_of(deed: bytes) -> bytes:
    return deed[NAME_AT + 2 + deed[NAME_AT] : len(deed) - SIGNATURE_BYTES]


def number_at(deed: bytes, at: nat) -> nat:
    assert deed[at] < 128, BAD_TERM
    return cbor.big_endian(address(deed) + at, 8)


def is_running(deed: bytes) -> bool:
    """Whether now is in its term. A deed without a target gives its name up."""
    return number_at(deed, SINCE_AT) <= epoch() < number_at(deed, 0) and len(target_of(deed)) > 0


def winner(name: bytes) -> bytes:
    """The deed that counts now: of those whose term is running the one that began first, then that of the smaller key.
    Empty if there is none."""
    known = read_deeds(name)
    best = known[:0]
    at = 0
    while at < len(known):
        end = end_of(known, at)
        deed = known[at:end]
        if is_running(deed) and (len(best) == 0 or deed[SINCE_AT:OWNER_AT] < best[SINCE_AT:OWNER_AT]):
            best = deed
        at = end
    return best


def check_deed(deed: bytes) -> None:
    """Ends the run unless the deed is well made, of now, and signed by its own key for this contract."""
    check_name(name_of(deed))
    assert len(target_of(deed)) <= TARGET_BYTES_MAX, BAD_TARGET
    since = number_at(deed, SINCE_AT)
    until = number_at(deed, 0)
    assert since <= epoch(), BAD_TERM
    assert since < until <= epoch() + EPOCHS_MAX, BAD_TERM
    signed = len(deed) - SIGNATURE_BYTES
    memory.copy(MESSAGE, DOMAIN)
    self_id(MESSAGE[DOMAIN_BYTES : DOMAIN_BYTES + 16])
    memory.copy(MESSAGE[DOMAIN_BYTES + 16 :], deed[:signed])
    message = MESSAGE[: DOMAIN_BYTES + 16 + signed]
    assert verify_sig(message, deed[KEY_AT:OWNER_AT], deed[signed:]), BAD_SIGNATURE


def admit(deed: bytes) -> None:
    """Puts a deed among those to its name, in order, instead of a smaller one of the same key. The greatest stay."""
    known = read_deeds(name_of(deed))
    at, out, count = 0, 0, 0
    placed = False
    while at < len(known) and count < DEEDS_MAX:
        end = end_of(known, at)
        other = known[at:end]
        same = other[KEY_AT:OWNER_AT] == deed[KEY_AT:OWNER_AT]
        if not placed and other < deed:
            out = append(out, deed)
            count += 1
            placed = True
        elif same and not placed:
            return
        else:
            at = end
            if not same:
                out = append(out, other)
                count += 1
    if not placed and count < DEEDS_MAX:
        out = append(out, deed)
    state[deeds_key(name_of(deed))] = MERGED[:out]


def append(at: nat, deed: bytes) -> nat:
    return at + memory.copy(MERGED[at:], deed)


@export
def register(name: bytes, target: bytes, epochs: nat) -> int:
    """Takes a free name, or renews one's own, for `epochs` epochs from now; the epoch in which it is free again. A name
    that others deed is not free."""
    check_name(name)
    assert 1 <= len(target) <= TARGET_BYTES_MAX, BAD_TARGET
    assert 1 <= epochs <= EPOCHS_MAX, BAD_TERM
    sender(CALLER)
    if find(name) >= 0:
        assert RECORD[:OWNER_BYTES] == CALLER, TAKEN
    else:
        deed = winner(name)
        assert len(deed) == 0 or deed[OWNER_AT:NAME_AT] == CALLER, HAS_DEED
    expires = epoch() + epochs
    write(name, target, expires)
    return expires


@export
def resolve(name: bytes) -> int:
    """Emits what the name stands for; the epoch in which it is free again."""
    size = find(name)
    if size >= 0:
        emit(RECORD[HEAD_BYTES:size])
        return i64(address(RECORD) + OWNER_BYTES)
    deed = winner(name)
    assert len(deed) > 0, UNKNOWN
    emit(target_of(deed))
    return number_at(deed, 0)


@export
def owner(name: bytes) -> None:
    """Emits the id of who has the name."""
    if find(name) >= 0:
        emit(RECORD[:OWNER_BYTES])
        return
    deed = winner(name)
    assert len(deed) > 0, UNKNOWN
    emit(deed[OWNER_AT:NAME_AT])


@export
def release(name: bytes) -> None:
    """Gives one's own registered name back."""
    assert find(name) >= 0, UNKNOWN
    sender(CALLER)
    assert RECORD[:OWNER_BYTES] == CALLER, NOT_OWNER
    del state[name]


@export
def merge(records: bytes) -> None:
    """Takes deeds, one behind the other and to any names: one's own new one, or what another replica has."""
    at = 0
    while at < len(records):
        end = end_of(records, at)
        check_deed(records[at:end])
        admit(records[at:end])
        at = end


@export
def deeds(name: bytes) -> None:
    """Emits all deeds to a name, for `merge` of another replica."""
    emit(read_deeds(name))
