"""What the compiler itself calls where one instruction is not enough. Not imported by contracts."""

from mhr import address, buffer, i64, nat, quotient, remainder, shift_left, u8, view


def floor_divide(a: int, b: int) -> int:
    """Division that rounds down, whatever the signs."""
    result = quotient(a, b)
    if remainder(a, b) != 0 and (a ^ b) < 0:
        result -= 1
    return result


def floor_modulo(a: int, b: int) -> int:
    """The remainder with the sign of `b`."""
    result = remainder(a, b)
    if result != 0 and (result ^ b) < 0:
        result += b
    return result


def shift_left_checked(value: int, count: int) -> int:
    """Every bit that leaves at the top is an overflow."""
    if count == 63:
        return value * 2**62 * 2
    return value * shift_left(1, count)


def item_address(data: bytes, index: int) -> nat:
    """Where a byte lies; an index below zero counts from the end."""
    at = index if index >= 0 else index + len(data)
    assert 0 <= at < len(data), -2
    return address(data) + at


def bound(size: int, at: int) -> nat:
    """A bound of a part: below zero it counts from the end, and outside it is the nearer end."""
    inside = at if at >= 0 else max(at + size, 0)
    return min(inside, size)


def part(data: bytes, start: int, stop: int) -> buffer:
    first = bound(len(data), start)
    return view(address(data) + first, max(bound(len(data), stop) - first, 0))


def part_from(data: bytes, start: int) -> buffer:
    first = bound(len(data), start)
    return view(address(data) + first, len(data) - first)


def part_to(data: bytes, stop: int) -> buffer:
    return view(address(data), bound(len(data), stop))


def equal(a: bytes, b: bytes) -> bool:
    """Whether two have the same bytes: eight at a time, then one by one."""
    if len(a) != len(b):
        return False
    at = address(a)
    end = at + len(a)
    move = address(b) - at
    while at + 8 <= end:
        if i64(at) != i64(at + move):
            return False
        at += 8
    while at < end:
        if u8(at) != u8(at + move):
            return False
        at += 1
    return True


def compare(a: bytes, b: bytes) -> int:
    """Below zero if `a` comes first, zero if they are equal, above zero if `b` comes first."""
    at = address(a)
    end = at + min(len(a), len(b))
    move = address(b) - at
    while at + 8 <= end and i64(at) == i64(at + move):
        at += 8
    while at < end:
        difference = u8(at) - u8(at + move)
        if difference != 0:
            return difference
        at += 1
    return len(a) - len(b)
