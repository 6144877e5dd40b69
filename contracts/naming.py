"""Names for a mesh: whoever registers a name first has it until it expires. See contracts/README.md."""

from mhr import address, buffer, emit, epoch, export, i64, limits, memory, nat, sender, set_i64, state

limits(cycles=100_000, state=1_048_576, arguments=1024)

NAME_BYTES_MAX = 64
TARGET_BYTES_MAX = 128
EPOCHS_MAX = 10_000
OWNER_BYTES = 16
HEAD_BYTES = OWNER_BYTES + 8

BAD_NAME = 1
TAKEN = 2
UNKNOWN = 3
BAD_TARGET = 4
BAD_TERM = 5
NOT_OWNER = 6

CALLER = buffer(16)
RECORD = buffer(152)
"""Owner, 16 bytes; the first epoch in which the name is free again, 8 bytes; what the name stands for."""


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
    """Brings the record of a name that has not expired into RECORD; its size, or -1."""
    size = state.read(name, RECORD)
    if size < HEAD_BYTES or i64(address(RECORD) + OWNER_BYTES) <= epoch():
        return -1
    return size


def write(name: bytes, target: bytes, expires: int) -> None:
    memory.copy(RECORD, CALLER)
    set_i64(address(RECORD) + OWNER_BYTES, expires)
    memory.copy(RECORD[HEAD_BYTES:], target)
    state[name] = RECORD[: HEAD_BYTES + len(target)]


@export
def register(name: bytes, target: bytes, epochs: nat) -> int:
    """Takes a free name, or renews one's own, for `epochs` epochs from now; the epoch in which it is free again."""
    check_name(name)
    assert 1 <= len(target) <= TARGET_BYTES_MAX, BAD_TARGET
    assert 1 <= epochs <= EPOCHS_MAX, BAD_TERM
    sender(CALLER)
    if find(name) >= 0:
        assert RECORD[:OWNER_BYTES] == CALLER, TAKEN
    expires = epoch() + epochs
    write(name, target, expires)
    return expires


@export
def resolve(name: bytes) -> int:
    """Emits what the name stands for; the epoch in which it is free again."""
    size = find(name)
    assert size >= 0, UNKNOWN
    emit(RECORD[HEAD_BYTES:size])
    return i64(address(RECORD) + OWNER_BYTES)


@export
def owner(name: bytes) -> None:
    """Emits the id of who has the name."""
    assert find(name) >= 0, UNKNOWN
    emit(RECORD[:OWNER_BYTES])


@export
def release(name: bytes) -> None:
    """Gives one's own name back."""
    assert find(name) >= 0, UNKNOWN
    sender(CALLER)
    assert RECORD[:OWNER_BYTES] == CALLER, NOT_OWNER
    del state[name]
