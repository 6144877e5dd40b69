"""Values that replicas change apart from one another and merge in any order: GCounter, GSet, LWWRegister, ORSet, RGA.

Each is canonical CBOR. All but the register are maps from byte strings to values, and merging keeps, for each key, the
value whose bytes are the greater. Deterministic CBOR orders numbers by their size, so that one rule is all of them:

    GCOUNTER  replica: how much it has added                     the greater number
    GSET      element: true                                      there is nothing to choose
    ORSET     tag and element: 0 added, 1 removed                removed stays removed; adding again takes a new tag
    RGA       id of a piece: [0 there or 1 deleted, id of the    deleted stays deleted
              piece before it, its bytes]
    REGISTER  [time, writer, value]                              the later time, then the greater writer
"""

from mhr import buffer, cbor, memory, nat

GCOUNTER = 0
GSET = 1
REGISTER = 2
ORSET = 3
RGA = 4

EQUAL = 0
BEFORE = 1
AFTER = 2
CONCURRENT = 3

BAD_VALUE = -20
HEAD_ROOM = 9
TAG_BYTES = 16


def check(kind: nat, data: bytes) -> None:
    """Ends the run unless `data` is a value of this kind in its one form."""
    cbor.check(data)
    if kind == REGISTER:
        check_register(data)
        return
    count, at = cbor.read(data, 0, cbor.MAP)
    for _ in range(count):
        key, start = cbor.read_bytes(data, at)
        assert kind != ORSET or len(key) >= TAG_BYTES, BAD_VALUE
        at = check_value(kind, data, start)


def check_register(data: bytes) -> None:
    count, at = cbor.read(data, 0, cbor.ARRAY)
    assert count == 3, BAD_VALUE
    _, at = cbor.read(data, at, cbor.UNSIGNED)
    _, at = cbor.read_bytes(data, at)
    _, at = cbor.read_bytes(data, at)


def check_value(kind: nat, data: bytes, at: nat) -> nat:
    """The place behind the value of one entry."""
    if kind == RGA:
        return check_piece(data, at)
    if kind == GSET:
        value, end = cbor.read(data, at, cbor.SIMPLE)
        assert value == cbor.TRUE, BAD_VALUE
        return end
    value, end = cbor.read(data, at, cbor.UNSIGNED)
    assert kind == GCOUNTER or value <= 1, BAD_VALUE
    return end


def check_piece(data: bytes, at: nat) -> nat:
    count, at = cbor.read(data, at, cbor.ARRAY)
    assert count == 3, BAD_VALUE
    deleted, at = cbor.read(data, at, cbor.UNSIGNED)
    assert deleted <= 1, BAD_VALUE
    _, at = cbor.read_bytes(data, at)
    _, at = cbor.read_bytes(data, at)
    return at


def entry(data: bytes, at: nat) -> tuple[bytes, nat]:
    """The key, as it is encoded, of the entry at a place, and the place behind the entry."""
    middle = cbor.skip(data, at)
    return data[at:middle], cbor.skip(data, middle)


def order(a: bytes, b: bytes) -> int:
    """-1, 0 or 1 as `a` comes before `b`, is equal, or comes behind."""
    return 0 if a == b else -1 if a < b else 1


def larger(a: bytes, b: bytes) -> bytes:
    return b if a < b else a


def merge(kind: nat, a: bytes, b: bytes, out: buffer) -> nat:
    """Both in one, written to `out`; its length."""
    check(kind, a)
    check(kind, b)
    if kind == REGISTER:
        return memory.copy(out, larger(a, b))
    return merge_maps(a, b, out)


def merge_maps(a: bytes, b: bytes, out: buffer) -> nat:
    left, i = cbor.read(a, 0, cbor.MAP)
    right, j = cbor.read(b, 0, cbor.MAP)
    count, at = 0, HEAD_ROOM
    while left > 0 or right > 0:
        side = first_of(a[i:], left, b[j:], right)
        chosen = a[i:i]
        if side <= 0:
            _, end = entry(a, i)
            chosen = a[i:end]
            left, i = left - 1, end
        if side >= 0:
            _, end = entry(b, j)
            chosen = larger(chosen, b[j:end])
            right, j = right - 1, end
        at = cbor.write_raw(out, at, chosen)
        count += 1
    start = cbor.write_head(out, 0, cbor.MAP, count)
    return start + memory.copy(out[start:], out[HEAD_ROOM:at])


def first_of(a: bytes, left: int, b: bytes, right: int) -> int:
    """Which of two rests of maps has the first key: below zero `a`, above zero `b`, zero both."""
    if left == 0:
        return 1
    if right == 0:
        return -1
    return order(a[: cbor.skip(a, 0)], b[: cbor.skip(b, 0)])


def compare(kind: nat, a: bytes, b: bytes) -> nat:
    """EQUAL; BEFORE if `b` has all of `a` and more; AFTER; CONCURRENT if each has what the other has not."""
    check(kind, a)
    check(kind, b)
    if kind == REGISTER:
        return seen(order(a, b))
    left, i = cbor.read(a, 0, cbor.MAP)
    right, j = cbor.read(b, 0, cbor.MAP)
    result = EQUAL
    while left > 0 or right > 0:
        side = first_of(a[i:], left, b[j:], right)
        from_a, from_b = a[i:i], b[j:j]
        if side <= 0:
            _, end = entry(a, i)
            from_a = a[i:end]
            left, i = left - 1, end
        if side >= 0:
            _, end = entry(b, j)
            from_b = b[j:end]
            right, j = right - 1, end
        result |= seen(order(from_a, from_b) if side == 0 else -side)
    return result


def seen(found: int) -> nat:
    """What one difference says of the whole; two opposite ones together are CONCURRENT."""
    return EQUAL if found == 0 else BEFORE if found < 0 else AFTER


def single(key: bytes, value: bytes, out: buffer) -> nat:
    """A map of one entry, whose value is CBOR already; merged into another it is a change of that entry."""
    at = cbor.write_head(out, 0, cbor.MAP, 1)
    at = cbor.write_bytes(out, at, key)
    return cbor.write_raw(out, at, value)


def find(data: bytes, key: bytes) -> bytes:
    """The value of a key, as it is encoded; empty if there is none."""
    count, at = cbor.read(data, 0, cbor.MAP)
    for _ in range(count):
        found, start = cbor.read_bytes(data, at)
        at = cbor.skip(data, start)
        if found == key:
            return data[start:at]
    return data[:0]


def total(data: bytes) -> nat:
    """What a GCounter counts."""
    check(GCOUNTER, data)
    result = 0
    count, at = cbor.read(data, 0, cbor.MAP)
    for _ in range(count):
        value, at = cbor.read(data, cbor.skip(data, at), cbor.UNSIGNED)
        result += value
    return result


def contains(data: bytes, element: bytes) -> bool:
    """Whether an ORSet has an element: under a tag that was not removed."""
    check(ORSET, data)
    count, at = cbor.read(data, 0, cbor.MAP)
    for _ in range(count):
        key, start = cbor.read_bytes(data, at)
        removed, at = cbor.read(data, start, cbor.UNSIGNED)
        if removed == 0 and key[TAG_BYTES:] == element:
            return True
    return False
