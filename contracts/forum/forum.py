"""Forums: logs that are only ever appended to, with owners, moderators and bans. See README.md beside this file."""

from mhr import address, buffer, digest, emit, epoch, export, i64, limits, log, memory, nat, sender, set_i64, state

limits(cycles=200_000, state=4_194_304, arguments=4096)

NAME_BYTES_MAX = 32
TEXT_BYTES_MAX = 2048
ID_BYTES = 16
DIGEST_BYTES = 32

MODERATOR = 1
BANNED = 2

UNKNOWN = 1
TAKEN = 2
BAD_NAME = 3
NOT_ALLOWED = 4
IS_BANNED = 5
WRITTEN = 6
GAP = 7
BAD_TEXT = 8
HIDDEN = 9
BAD_ID = 10
PROTECTED = 11

CALLER = buffer(ID_BYTES)
KEY = buffer(1 + NAME_BYTES_MAX + ID_BYTES)
FORUM = buffer(ID_BYTES + 8 + DIGEST_BYTES)
"""Owner; how many posts there are; the head of their chain."""
COUNT_AT = ID_BYTES
HEAD_AT = ID_BYTES + 8
ROLE = buffer(1)
POST = buffer(1 + 8 + ID_BYTES + TEXT_BYTES_MAX)
"""Whether it is hidden (1); the epoch of writing; the author; the text."""
EPOCH_AT = 1
AUTHOR_AT = 9
TEXT_AT = 25
LINK = buffer(DIGEST_BYTES + 8 + 8 + ID_BYTES + DIGEST_BYTES)
"""What the next head is the digest of: head, number, epoch, author, digest of the text."""


def forum_key(forum: bytes) -> bytes:
    assert 1 <= len(forum) <= NAME_BYTES_MAX, BAD_NAME
    KEY[0] = 102
    memory.copy(KEY[1:], forum)
    return KEY[: 1 + len(forum)]


def role_key(forum: bytes, who: bytes) -> bytes:
    """The id stands last and has one length, so that no two pairs have one key."""
    assert len(who) == ID_BYTES, BAD_ID
    size = len(forum_key(forum))
    KEY[0] = 114
    memory.copy(KEY[size:], who)
    return KEY[: size + ID_BYTES]


def post_key(forum: bytes, number: nat) -> bytes:
    size = len(forum_key(forum))
    KEY[0] = 112
    set_i64(address(KEY) + size, number)
    return KEY[: size + 8]


def find(forum: bytes) -> nat:
    """Brings a forum into FORUM; how many posts it has."""
    assert state.read(forum_key(forum), FORUM) >= 0, UNKNOWN
    return i64(address(FORUM) + COUNT_AT)


def role_of(forum: bytes, who: bytes) -> nat:
    return ROLE[0] if state.read(role_key(forum, who), ROLE) > 0 else 0


def is_owner(who: bytes) -> bool:
    """Of the forum in FORUM."""
    return FORUM[:ID_BYTES] == who


def need_moderator(forum: bytes) -> None:
    sender(CALLER)
    assert is_owner(CALLER) or role_of(forum, CALLER) == MODERATOR, NOT_ALLOWED


def set_role(forum: bytes, who: bytes, role: nat) -> None:
    """0 takes a role away."""
    if role == 0:
        del state[role_key(forum, who)]
    else:
        ROLE[0] = role & 255
        state[role_key(forum, who)] = ROLE


def read_post(forum: bytes, number: nat) -> bytes:
    """Brings one post of a forum into POST."""
    size = state.read(post_key(forum, number), POST)
    assert size >= 0, GAP
    return POST[:size]


def extend(number: nat, text: bytes) -> None:
    """Makes the post in POST the next link of the chain in FORUM."""
    memory.copy(LINK, FORUM[HEAD_AT:])
    set_i64(address(LINK) + DIGEST_BYTES, number)
    memory.copy(LINK[DIGEST_BYTES + 8 :], POST[EPOCH_AT:TEXT_AT])
    digest(text, LINK[DIGEST_BYTES + 8 + 8 + ID_BYTES :])
    digest(LINK, FORUM[HEAD_AT:])
    set_i64(address(FORUM) + COUNT_AT, number + 1)


@export
def found(forum: bytes) -> None:
    """Makes a forum that is whoever calls' own."""
    assert forum_key(forum) not in state, TAKEN
    sender(FORUM)
    set_i64(address(FORUM) + COUNT_AT, 0)
    memory.fill(FORUM[HEAD_AT:], 0)
    state[forum_key(forum)] = FORUM


@export
def post(forum: bytes, number: nat, text: bytes) -> int:
    """Appends a post as the one of this number, which has to be the next: what is written already is never written
    over, and who did not see the last post is told so. How many posts there are now."""
    count = find(forum)
    sender(CALLER)
    assert role_of(forum, CALLER) != BANNED, IS_BANNED
    assert number >= count, WRITTEN
    assert number == count, GAP
    assert 1 <= len(text) <= TEXT_BYTES_MAX, BAD_TEXT
    POST[0] = 0
    set_i64(address(POST) + EPOCH_AT, epoch())
    memory.copy(POST[AUTHOR_AT:], CALLER)
    memory.copy(POST[TEXT_AT:], text)
    state[post_key(forum, number)] = POST[: TEXT_AT + len(text)]
    extend(number, text)
    state[forum_key(forum)] = FORUM
    log(FORUM[HEAD_AT:])
    return number + 1


@export
def read(forum: bytes, number: nat) -> int:
    """Emits the text of a post that is not hidden; the epoch in which it was written."""
    find(forum)
    found_post = read_post(forum, number)
    assert found_post[0] == 0, HIDDEN
    emit(found_post[TEXT_AT:])
    return i64(address(found_post) + EPOCH_AT)


@export
def author(forum: bytes, number: nat) -> int:
    """Emits who wrote a post; 1 if it is hidden, otherwise 0."""
    find(forum)
    found_post = read_post(forum, number)
    emit(found_post[AUTHOR_AT:TEXT_AT])
    return found_post[0]


@export
def head(forum: bytes) -> int:
    """Emits the digest that stands for all posts and their order; how many there are."""
    count = find(forum)
    emit(FORUM[HEAD_AT:])
    return count


@export
def appoint(forum: bytes, who: bytes) -> None:
    """The owner makes somebody a moderator."""
    find(forum)
    sender(CALLER)
    assert is_owner(CALLER), NOT_ALLOWED
    set_role(forum, who, MODERATOR)


@export
def dismiss(forum: bytes, who: bytes) -> None:
    """The owner takes a moderator's role away."""
    find(forum)
    sender(CALLER)
    assert is_owner(CALLER), NOT_ALLOWED
    assert role_of(forum, who) == MODERATOR, NOT_ALLOWED
    set_role(forum, who, 0)


@export
def ban(forum: bytes, who: bytes) -> None:
    """A moderator shuts somebody out, but neither the owner nor a moderator."""
    find(forum)
    need_moderator(forum)
    assert not is_owner(who), PROTECTED
    assert role_of(forum, who) != MODERATOR, PROTECTED
    set_role(forum, who, BANNED)


@export
def pardon(forum: bytes, who: bytes) -> None:
    """A moderator lets somebody in again."""
    find(forum)
    need_moderator(forum)
    assert role_of(forum, who) == BANNED, NOT_ALLOWED
    set_role(forum, who, 0)


@export
def hide(forum: bytes, number: nat, hidden: nat) -> None:
    """A moderator hides a post (1) or shows it again (0). It stays in the log and in its chain."""
    find(forum)
    need_moderator(forum)
    found_post = read_post(forum, number)
    assert hidden <= 1, BAD_TEXT
    POST[0] = hidden & 255
    state[post_key(forum, number)] = found_post
