"""JSON (RFC 8259) without floats: reading, setting and deleting by path.

A path is keys and indices between slashes: `b"owners/0/name"`; keys are compared byte for byte with what stands between
the quotes, so that a key with an escape is written in the path as it is in the text. Numbers are ints. Whatever is not
such JSON ends the run. Of two equal keys the first one counts. What is not named stays as it was written.
"""

from mhr import address, buffer, memory, nat, u8

CUT_OFF = -30
BAD_TEXT = -31
TOO_DEEP = -32
NO_PLACE = -33
NO_ROOM = -34
DEPTH_MAX = 16

OPEN_OBJECT = 123
CLOSE_OBJECT = 125
OPEN_LIST = 91
CLOSE_LIST = 93
QUOTE = 34
COMMA = 44
COLON = 58


def byte(data: bytes, at: nat) -> nat:
    assert at < len(data), CUT_OFF
    return u8(address(data) + at)


def blank(data: bytes, at: nat) -> nat:
    """The place behind spaces, tabs and line ends."""
    while at < len(data):
        found = u8(address(data) + at)
        if found != 32 and not 9 <= found <= 10 and found != 13:
            break
        at += 1
    return at


def expect(data: bytes, at: nat, letter: nat) -> nat:
    assert byte(data, at) == letter, BAD_TEXT
    return at + 1


def skip_string(data: bytes, at: nat) -> nat:
    """The place behind a string that begins here."""
    at = expect(data, at, QUOTE)
    while byte(data, at) != QUOTE:
        found = byte(data, at)
        assert found >= 32, BAD_TEXT
        at = skip_escape(data, at + 1) if found == 92 else at + 1
    return at + 1


def skip_escape(data: bytes, at: nat) -> nat:
    found = byte(data, at)
    if found == 117:
        for i in range(1, 5):
            assert is_hex(byte(data, at + i)), BAD_TEXT
        return at + 5
    simple = found == QUOTE or found == 92 or found == 47
    assert simple or found == 98 or found == 102 or found == 110 or found == 114 or found == 116, BAD_TEXT
    return at + 1


def is_hex(found: nat) -> bool:
    return 48 <= found <= 57 or 65 <= found <= 70 or 97 <= found <= 102


def skip_number(data: bytes, at: nat) -> nat:
    """The place behind an int: no plus, no zeros before it, no fraction, no exponent."""
    if byte(data, at) == 45:
        at += 1
    first = byte(data, at)
    assert 48 <= first <= 57, BAD_TEXT
    at += 1
    while first != 48 and at < len(data) and 48 <= u8(address(data) + at) <= 57:
        at += 1
    return at


def skip_word(data: bytes, at: nat, word: bytes) -> nat:
    assert data[at : at + len(word)] == word, BAD_TEXT
    return at + len(word)


def skip(data: bytes, at: nat, depth: nat) -> nat:
    """The place behind one value, all of which is looked at."""
    assert depth < DEPTH_MAX, TOO_DEEP
    first = byte(data, at)
    if first == OPEN_OBJECT:
        return skip_members(data, at, CLOSE_OBJECT, depth + 1)
    if first == OPEN_LIST:
        return skip_members(data, at, CLOSE_LIST, depth + 1)
    if first == QUOTE:
        return skip_string(data, at)
    if first == 116:
        return skip_word(data, at, b"true")
    if first == 102:
        return skip_word(data, at, b"false")
    return skip_word(data, at, b"null") if first == 110 else skip_number(data, at)


def skip_members(data: bytes, at: nat, close: nat, depth: nat) -> nat:
    """The place behind an object or a list."""
    at = blank(data, at + 1)
    if byte(data, at) == close:
        return at + 1
    while True:
        if close == CLOSE_OBJECT:
            at = blank(data, expect(data, blank(data, skip_string(data, at)), COLON))
        at = blank(data, skip(data, at, depth))
        if byte(data, at) == close:
            return at + 1
        at = blank(data, expect(data, at, COMMA))


def check(data: bytes) -> None:
    """Ends the run unless `data` is one value, with nothing but blanks around it."""
    assert blank(data, skip(data, blank(data, 0), 0)) == len(data), BAD_TEXT


def step_end(path: bytes, at: nat) -> nat:
    """Where the step of a path that begins here ends."""
    while at < len(path) and path[at] != 47:
        at += 1
    return at


def index_of(step: bytes) -> nat:
    """The number that a step is."""
    assert 1 <= len(step) <= 9, NO_PLACE
    value = 0
    for i in range(len(step)):
        assert 48 <= step[i] <= 57, NO_PLACE
        value = value * 10 + step[i] - 48
    return value


def member(data: bytes, at: nat, step: bytes) -> tuple[nat, nat, nat]:
    """Begin of the member that a step names, begin and end of its value; three times the end if there is none."""
    is_object = byte(data, at) == OPEN_OBJECT
    assert is_object or byte(data, at) == OPEN_LIST, NO_PLACE
    left = 0 if is_object else index_of(step)
    at = blank(data, at + 1)
    while byte(data, at) != CLOSE_OBJECT and byte(data, at) != CLOSE_LIST:
        begin, start = at, at
        found = left == 0
        if is_object:
            key_end = skip_string(data, at)
            found = data[at + 1 : key_end - 1] == step
            start = blank(data, expect(data, blank(data, key_end), COLON))
        end = skip(data, start, 0)
        if found:
            return begin, start, end
        left -= 1
        at = blank(data, end)
        at = blank(data, at + 1) if byte(data, at) == COMMA else at
    return at, at, at


def find(data: bytes, path: bytes) -> bytes:
    """The text of the value at a path, quotes included; empty if there is none. An empty path is the whole."""
    check(data)
    at = blank(data, 0)
    end = skip(data, at, 0)
    from_ = 0
    while from_ < len(path):
        to = step_end(path, from_)
        _, at, end = member(data, at, path[from_:to])
        if at == end:
            return data[:0]
        from_ = to + 1
    return data[at:end]


def splice(out: buffer, data: bytes, start: nat, end: nat, new: bytes) -> nat:
    """`data` with what lies from `start` to `end` replaced, written to `out`; its length."""
    size = len(data) - (end - start) + len(new)
    assert size <= len(out), NO_ROOM
    memory.copy(out, data[:start])
    memory.copy(out[start:], new)
    memory.copy(out[start + len(new) :], data[end:])
    return size


def replace(data: bytes, path: bytes, value: bytes, out: buffer) -> nat:
    """`data` with another value at a path that is there, written to `out`; its length."""
    check(value)
    old = find(data, path)
    assert len(old) > 0, NO_PLACE
    start = address(old) - address(data)
    assert start >= 0, NO_PLACE
    begin: nat = start
    return splice(out, data, begin, begin + len(old), value)


def parent_of(path: bytes) -> nat:
    """Where the last step of a path begins."""
    at = len(path)
    while at > 0 and path[at - 1] != 47:
        at -= 1
    last: nat = at
    return last


def set_value(data: bytes, path: bytes, value: bytes, out: buffer) -> nat:
    """`data` with a value at a path, written to `out`; its length. The last key may be new in its object."""
    if len(find(data, path)) > 0:
        return replace(data, path, value, out)
    check(value)
    last = parent_of(path)
    holder = find(data, path[: max(last - 1, 0)])
    assert len(holder) > 0, NO_PLACE
    assert holder[0] == OPEN_OBJECT, NO_PLACE
    inside = blank(holder, 1)
    at: nat = address(holder) - address(data) + len(holder) - 1
    step = path[last:]
    check_key(step)
    glue = b'"' if byte(holder, inside) == CLOSE_OBJECT else b',"'
    size = splice(out, data, at, at, value)
    size = insert(out, size, at, b'":')
    size = insert(out, size, at, step)
    return insert(out, size, at, glue)


def check_key(step: bytes) -> None:
    """Ends the run if a key could not stand between quotes."""
    at = 0
    while at < len(step):
        found = byte(step, at)
        assert found >= 32, BAD_TEXT
        assert found != QUOTE, BAD_TEXT
        at = skip_escape(step, at + 1) if found == 92 else at + 1


def insert(out: buffer, size: nat, at: nat, new: bytes) -> nat:
    """Makes room in `out`, of which `size` bytes are used, and puts `new` there; the new size."""
    assert size + len(new) <= len(out), NO_ROOM
    memory.copy(out[at + len(new) :], out[at:size])
    memory.copy(out[at:], new)
    return size + len(new)


def delete(data: bytes, path: bytes, out: buffer) -> nat:
    """`data` without the member at a path that is there, written to `out`; its length."""
    assert len(find(data, path)) > 0, NO_PLACE
    last = parent_of(path)
    holder = find(data, path[: max(last - 1, 0)])
    begin, _, end = member(holder, 0, path[last:])
    offset: nat = address(holder) - address(data)
    after = blank(holder, end)
    if byte(holder, after) == COMMA:
        return splice(out, data, offset + begin, offset + blank(holder, after + 1), b"")
    before = begin
    while before > 1 and byte(holder, before) != COMMA:
        before -= 1
    first: nat = before if byte(holder, before) == COMMA else begin
    return splice(out, data, offset + first, offset + end, b"")
