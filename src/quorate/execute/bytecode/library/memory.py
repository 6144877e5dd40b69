"""Copying and comparing bytes in memory."""

from mhr import address, buffer, i64, nat, set_i64, set_u8, u8

TOO_LONG = -4


def copy(target: buffer, source: bytes) -> nat:
    """Puts `source` at the beginning of `target`, also where they overlap; its length. Traps if it does not fit."""
    assert len(source) <= len(target), TOO_LONG
    move(address(target), address(source), len(source))
    return len(source)


def move(to: int, at: int, size: int) -> None:
    """`size` bytes from one address to another; from the end if the target begins inside the source."""
    if at < to < at + size:
        for i in range(size - 1, -1, -1):
            set_u8(to + i, u8(at + i))
        return
    end = at + size
    offset = to - at
    while at + 8 <= end:
        set_i64(at + offset, i64(at))
        at += 8
    while at < end:
        set_u8(at + offset, u8(at))
        at += 1


def fill(target: buffer, value: nat) -> None:
    """Every byte of `target` becomes `value`."""
    for i in range(len(target)):
        target[i] = value
