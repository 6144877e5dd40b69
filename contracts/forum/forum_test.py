"""Tests of the forum: `quorate contract test contracts/forum/forum.py`."""

from blake3 import blake3

from quorate.execute.bytecode.replica import Replica, account

(UNKNOWN, TAKEN, BAD_NAME, NOT_ALLOWED, IS_BANNED, WRITTEN, GAP, BAD_TEXT, HIDDEN, BAD_ID, PROTECTED) = range(1, 12)
FORUM = b"garden"
OWNER, MODERATOR, ANN, TROLL = map(account, ("owner", "moderator", "ann", "troll"))


def opened(replica: Replica) -> None:
    """A forum with a moderator."""
    replica.call("found", FORUM, sender=OWNER)
    replica.call("appoint", FORUM, MODERATOR, sender=OWNER)


def chain(posts: list[tuple[int, bytes, bytes]]) -> bytes:
    """The head over posts of epoch, author and text, computed from README.md alone."""
    head = bytes(32)
    for number, (epoch, author, text) in enumerate(posts):
        link = head + number.to_bytes(8, "little") + epoch.to_bytes(8, "little") + author + blake3(text).digest()
        head = blake3(link).digest()
    return head


def test_posts_are_appended_and_read(replica):
    opened(replica)
    replica.epoch = 7
    assert replica.call("post", FORUM, 0, b"When do tomatoes go out?", sender=ANN).value == 1
    replica.epoch = 8
    assert replica.call("post", FORUM, 1, b"In May.", sender=TROLL).value == 2
    read = replica.call("read", FORUM, 0)
    assert (read.emitted, read.value) == (b"When do tomatoes go out?", 7)
    assert replica.call("author", FORUM, 1).emitted == TROLL
    head = replica.call("head", FORUM)
    assert head.value == 2
    assert head.emitted == chain([(7, ANN, b"When do tomatoes go out?"), (8, TROLL, b"In May.")])


def test_what_is_written_is_not_written_over(replica):
    opened(replica)
    replica.call("post", FORUM, 0, b"first", sender=ANN)
    for person in (ANN, OWNER, MODERATOR):
        replica.refuses(WRITTEN, "post", FORUM, 0, b"edited", sender=person)
        replica.refuses(GAP, "post", FORUM, 2, b"ahead", sender=person)
    assert replica.call("read", FORUM, 0).emitted == b"first"


def test_who_is_banned_does_not_post_until_pardoned(replica):
    opened(replica)
    replica.call("post", FORUM, 0, b"spam", sender=TROLL)
    replica.refuses(NOT_ALLOWED, "ban", FORUM, TROLL, sender=ANN)
    replica.call("ban", FORUM, TROLL, sender=MODERATOR)
    replica.refuses(IS_BANNED, "post", FORUM, 1, b"more", sender=TROLL)
    replica.refuses(NOT_ALLOWED, "pardon", FORUM, TROLL, sender=TROLL)
    replica.call("post", FORUM, 1, b"peace", sender=ANN)
    replica.call("pardon", FORUM, TROLL, sender=OWNER)
    assert replica.call("post", FORUM, 2, b"sorry", sender=TROLL).value == 3


def test_neither_owner_nor_moderators_are_banned(replica):
    opened(replica)
    for person in (OWNER, MODERATOR):
        replica.refuses(PROTECTED, "ban", FORUM, person, sender=MODERATOR)
    replica.call("dismiss", FORUM, MODERATOR, sender=OWNER)
    replica.refuses(NOT_ALLOWED, "ban", FORUM, TROLL, sender=MODERATOR)
    replica.call("ban", FORUM, MODERATOR, sender=OWNER)


def test_only_the_owner_makes_and_dismisses_moderators(replica):
    opened(replica)
    for person in (MODERATOR, ANN):
        replica.refuses(NOT_ALLOWED, "appoint", FORUM, ANN, sender=person)
        replica.refuses(NOT_ALLOWED, "dismiss", FORUM, MODERATOR, sender=person)
    replica.refuses(NOT_ALLOWED, "dismiss", FORUM, ANN, sender=OWNER)
    replica.refuses(NOT_ALLOWED, "pardon", FORUM, MODERATOR, sender=OWNER)
    replica.refuses(BAD_ID, "appoint", FORUM, b"short", sender=OWNER)


def test_a_hidden_post_is_not_read_and_stays_in_the_log(replica):
    opened(replica)
    replica.call("post", FORUM, 0, b"rude", sender=TROLL)
    head = replica.call("head", FORUM).emitted
    replica.refuses(NOT_ALLOWED, "hide", FORUM, 0, 1, sender=TROLL)
    replica.call("hide", FORUM, 0, 1, sender=MODERATOR)
    replica.refuses(HIDDEN, "read", FORUM, 0, sender=TROLL)
    author = replica.call("author", FORUM, 0)
    assert (author.emitted, author.value) == (TROLL, 1)
    assert replica.call("head", FORUM).emitted == head
    replica.call("hide", FORUM, 0, 0, sender=MODERATOR)
    assert replica.call("read", FORUM, 0).emitted == b"rude"


def test_two_replicas_that_follow_the_log_converge(replica):
    opened(replica)
    ahead, behind = replica.fork(), replica.fork()
    calls = [
        ("post", 0, b"first", ANN),
        ("post", 1, b"second", TROLL),
        ("hide", 1, 1, MODERATOR),
        ("post", 2, b"x", ANN),
    ]
    for function, *arguments, person in calls:
        ahead.call(function, FORUM, *arguments, sender=person)
    for function, *arguments, person in calls[:2]:
        behind.call(function, FORUM, *arguments, sender=person)
    behind.refuses(GAP, "post", FORUM, 3, b"too early", sender=ANN)
    for function, *arguments, person in calls[2:]:
        behind.call(function, FORUM, *arguments, sender=person)
    assert ahead.state.key == behind.state.key
    other = replica.fork()
    other.refuses(GAP, "post", FORUM, 1, b"second", sender=TROLL)
    other.call("post", FORUM, 0, b"another first", sender=ANN)
    for function, *arguments, person in calls[1:]:
        other.call(function, FORUM, *arguments, sender=person)
    assert other.call("head", FORUM).emitted != ahead.call("head", FORUM).emitted


def test_forums_are_apart(replica):
    opened(replica)
    replica.call("found", b"kitchen", sender=ANN)
    replica.call("ban", FORUM, TROLL, sender=MODERATOR)
    assert replica.call("post", b"kitchen", 0, b"hello", sender=TROLL).value == 1
    replica.refuses(NOT_ALLOWED, "hide", b"kitchen", 0, 1, sender=MODERATOR)
    replica.refuses(TAKEN, "found", FORUM, sender=TROLL)
    replica.refuses(UNKNOWN, "post", b"cellar", 0, b"x", sender=ANN)
    replica.refuses(GAP, "read", FORUM, 0)


def test_names_and_texts_have_bounds(replica):
    opened(replica)
    for name in (b"", b"x" * 33):
        replica.refuses(BAD_NAME, "found", name, sender=ANN)
    for text in (b"", b"x" * 2049):
        replica.refuses(BAD_TEXT, "post", FORUM, 0, text, sender=ANN)
    replica.call("post", FORUM, 0, b"x" * 2048, sender=ANN)
    replica.refuses(-3, "post", FORUM, -1, b"x", sender=ANN)
    replica.refuses(BAD_TEXT, "hide", FORUM, 0, 2, sender=OWNER)
    replica.refuses(GAP, "hide", FORUM, 1, 1, sender=OWNER)
