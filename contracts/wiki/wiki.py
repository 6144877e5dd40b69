"""Pages that several people edit apart from one another and merge in any order. See README.md beside this file."""

from mhr import (
    address,
    buffer,
    cbor,
    crdt,
    digest,
    emit,
    export,
    i64,
    limits,
    memory,
    nat,
    self_id,
    set_i64,
    set_u16,
    state,
    u16,
    verify_sig,
)

limits(cycles=10_000_000, state=4_194_304, arguments=36_864)

TITLE_BYTES_MAX = 128
EDITORS_MAX = 16
KEY_BYTES = 32
ADDRESS_BYTES = 32
ID_BYTES = 8
SIGNATURE_BYTES = 64
TEXT_BYTES_MAX = 1024
PAGE_BYTES_MAX = 32_768
PIECES_MAX = 384
"""More than fit into a page: a piece is at least 86 bytes."""
DOMAIN_BYTES = 24
PAGE = b"quorate wiki page v1    "
WRITE = b"quorate wiki write v1   "
STRIKE = b"quorate wiki strike v1  "

BAD_TITLE = 1
BAD_EDITORS = 2
UNKNOWN = 3
BAD_PLACE = 4
BAD_TEXT = 5
NO_EDITOR = 6
BAD_SIGNATURE = 7

HEADER = buffer(1 + TITLE_BYTES_MAX + EDITORS_MAX * KEY_BYTES)
"""Length of the title, title, the keys of the editors in ascending order. Its digest is the address of the page."""
ENTRY_KEY = buffer(1 + ADDRESS_BYTES)
MINE = buffer(PAGE_BYTES_MAX)
MERGED = buffer(PAGE_BYTES_MAX)
MESSAGE = buffer(DOMAIN_BYTES + 16 + ADDRESS_BYTES + 2 * ID_BYTES + TEXT_BYTES_MAX)
ADDRESS = buffer(ADDRESS_BYTES)
WHERE = buffer(2 * ID_BYTES)
NUMBERS = buffer((PIECES_MAX + 1) * 8)
"""The ids of the pieces, ascending, as numbers; place 0 stands for the beginning of the page."""
VALUES = buffer((PIECES_MAX + 1) * 2)
"""Where in the page the values of the pieces lie."""
NEXT = buffer((PIECES_MAX + 1) * 2)
"""The place of the piece that is read after this one, 0 at the end."""


def entry_key(kind: nat, page: bytes) -> bytes:
    """Where in the state a page (112) or its header (104) lies."""
    assert len(page) == ADDRESS_BYTES, UNKNOWN
    ENTRY_KEY[0] = kind & 255
    memory.copy(ENTRY_KEY[1:], page)
    return ENTRY_KEY


def read_header(page: bytes) -> bytes:
    size = state.read(entry_key(104, page), HEADER)
    assert size >= 0, UNKNOWN
    return HEADER[:size]


def read_page(page: bytes) -> bytes:
    """The pieces of a page: an RGA of the library, empty at first."""
    size = state.read(entry_key(112, page), MINE)
    if size < 0:
        cbor.write_head(MINE, 0, cbor.MAP, 0)
        return MINE[:1]
    return MINE[:size]


def key_of(header: bytes, editor: nat) -> bytes:
    """The key of an editor by number."""
    start = 1 + header[0] + editor * KEY_BYTES
    assert start < len(header), NO_EDITOR
    return header[start : start + KEY_BYTES]


def is_signed(domain: bytes, page: bytes, where: bytes, text: bytes, key: bytes, signature: bytes) -> bool:
    """`where` is the id of a piece and that of the piece before it."""
    memory.copy(MESSAGE, domain)
    self_id(MESSAGE[DOMAIN_BYTES : DOMAIN_BYTES + 16])
    at = DOMAIN_BYTES + 16
    at += memory.copy(MESSAGE[at:], page)
    at += memory.copy(MESSAGE[at:], where)
    at += memory.copy(MESSAGE[at:], text)
    return verify_sig(MESSAGE[:at], key, signature)


def check_piece(header: bytes, page: bytes, changes: bytes, at: nat) -> nat:
    """Ends the run unless the piece at a place was written or struck by an editor; the place behind it."""
    name, start = cbor.read_bytes(changes, at)
    _, after = cbor.read(changes, start, cbor.ARRAY)
    struck, after = cbor.read(changes, after, cbor.UNSIGNED)
    before, after = cbor.read_bytes(changes, after)
    content, end = cbor.read_bytes(changes, after)
    check_place(name, before)
    where = WHERE[: 2 * ID_BYTES]
    memory.copy(WHERE, name)
    memory.copy(WHERE[ID_BYTES:], before)
    if struck == 1:
        assert len(content) == 1 + SIGNATURE_BYTES, BAD_TEXT
        key = key_of(header, content[0])
        assert is_signed(STRIKE, page, where, content[:0], key, content[1:]), BAD_SIGNATURE
        return end
    assert SIGNATURE_BYTES <= len(content) <= SIGNATURE_BYTES + TEXT_BYTES_MAX, BAD_TEXT
    key = key_of(header, name[ID_BYTES - 1])
    assert is_signed(WRITE, page, where, content[SIGNATURE_BYTES:], key, content), BAD_SIGNATURE
    return end


def check_place(name: bytes, before: bytes) -> None:
    """An id is a time in seven bytes, which is later than that of the piece before, and the number of its writer."""
    assert len(name) == ID_BYTES, BAD_PLACE
    assert len(before) == ID_BYTES, BAD_PLACE
    assert name[0] < 128, BAD_PLACE
    assert before[: ID_BYTES - 1] < name[: ID_BYTES - 1], BAD_PLACE


def number(name: bytes) -> nat:
    return cbor.big_endian(address(name), ID_BYTES)


def place_of(wanted: nat, count: nat) -> nat:
    """Where among the first pieces one is found; 0, the beginning of the page, if it is not there."""
    low, high = 1, count + 1
    while low < high:
        middle = (low + high) // 2
        if i64(address(NUMBERS) + middle * 8) < wanted:
            low = middle + 1
        else:
            high = middle
    if low <= count and i64(address(NUMBERS) + low * 8) == wanted:
        return low
    return 0


def arrange(page: bytes) -> None:
    """Fills NEXT with the order in which pieces are read: each behind the piece it was written after, and of several
    there the latest first. Ids ascend, so whatever stands behind that piece already is older."""
    count, at = cbor.read(page, 0, cbor.MAP)
    assert count <= PIECES_MAX, BAD_PLACE
    set_u16(address(NEXT), 0)
    for i in range(1, count + 1):
        name, start = cbor.read_bytes(page, at)
        set_i64(address(NUMBERS) + i * 8, number(name))
        set_u16(address(VALUES) + i * 2, start)
        before, _ = cbor.read_bytes(page, start + 2)
        place = address(NEXT) + 2 * place_of(number(before), i - 1)
        set_u16(address(NEXT) + i * 2, u16(place))
        set_u16(place, i)
        at = cbor.skip(page, start)


def show(page: bytes, marked: bool) -> nat:
    """Emits the pieces that were not struck, each ended by a line feed, or `marked`, behind its id and its length in
    two bytes; how many there are."""
    arrange(page)
    shown = 0
    i = u16(address(NEXT))
    while i > 0:
        at = u16(address(VALUES) + i * 2) + 1
        struck, at = cbor.read(page, at, cbor.UNSIGNED)
        _, at = cbor.read_bytes(page, at)
        content, _ = cbor.read_bytes(page, at)
        if struck == 0:
            show_piece(page, i, content[SIGNATURE_BYTES:], marked)
            shown += 1
        i = u16(address(NEXT) + i * 2)
    return shown


def show_piece(page: bytes, i: nat, text: bytes, marked: bool) -> None:
    if marked:
        start = u16(address(VALUES) + i * 2)
        emit(page[start - ID_BYTES : start])
        WHERE[0] = (len(text) >> 8) & 255
        WHERE[1] = len(text) & 255
        emit(WHERE[:2])
        emit(text)
    else:
        emit(text)
        emit(b"\n")


@export
def create(title: bytes, editors: bytes) -> None:
    """Makes a page that whoever holds one of these keys may edit, and emits its address, which follows from title and
    keys. A page that is there already stays as it is."""
    assert 1 <= len(title) <= TITLE_BYTES_MAX, BAD_TITLE
    count = len(editors) // KEY_BYTES
    assert 1 <= count <= EDITORS_MAX, BAD_EDITORS
    assert count * KEY_BYTES == len(editors), BAD_EDITORS
    for i in range(1, count):
        start = i * KEY_BYTES
        assert editors[start - KEY_BYTES : start] < editors[start : start + KEY_BYTES], BAD_EDITORS
    HEADER[0] = len(title) & 255
    size = 1 + memory.copy(HEADER[1:], title)
    size += memory.copy(HEADER[size:], editors)
    at = memory.copy(MINE, PAGE)
    at += memory.copy(MINE[at:], HEADER[:size])
    digest(MINE[:at], ADDRESS)
    state[entry_key(104, ADDRESS)] = HEADER[:size]
    emit(ADDRESS)


@export
def merge(page: bytes, changes: bytes) -> None:
    """Takes pieces: one that an editor has just written or struck, or all that another replica has of the page."""
    header = read_header(page)
    size = crdt.merge(crdt.RGA, read_page(page), changes, MERGED)
    count, at = cbor.read(changes, 0, cbor.MAP)
    for _ in range(count):
        at = check_piece(header, page, changes, at)
    state[entry_key(112, page)] = MERGED[:size]


@export
def read(page: bytes) -> int:
    """Emits the text, a line for each piece; how many there are."""
    read_header(page)
    return show(read_page(page), False)


@export
def pieces(page: bytes) -> int:
    """Emits the same for programs: of each piece its id, the length of its text in two bytes, its text."""
    read_header(page)
    return show(read_page(page), True)


@export
def whole(page: bytes) -> None:
    """Emits the page as `merge` of another replica takes it."""
    read_header(page)
    emit(read_page(page))


@export
def about(page: bytes) -> None:
    """Emits the length of the title, the title, and the keys of the editors."""
    emit(read_header(page))


@export
def page_hash(page: bytes) -> None:
    """Emits the digest of the page: equal where the same has been written and struck."""
    read_header(page)
    digest(read_page(page), ADDRESS)
    emit(ADDRESS)
