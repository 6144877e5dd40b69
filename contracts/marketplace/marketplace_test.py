"""Tests of the marketplace: `quorate contract test contracts/marketplace/marketplace.py`."""

from quorate.execute.bytecode.replica import Replica, account

(UNKNOWN, NOT_ALLOWED, WRONG_STATUS, TOO_LITTLE, BAD_PRICE, BAD_TEXT, BAD_ARBITER, TOO_EARLY, TOO_LATE, BAD_SHARE) = (
    range(1, 11)
)
SELLER, BUYER, ARBITER, OTHER = map(account, ("seller", "buyer", "arbiter", "other"))
PEOPLE = (SELLER, BUYER, ARBITER, OTHER)
PRICE = 101
FUNDS = 1_000


def opened(replica: Replica) -> int:
    """Everybody has money, and something is listed."""
    for person in PEOPLE:
        replica.fund(person, FUNDS)
    return replica.call("list_item", ARBITER, PRICE, b"bicycle", b"blue", sender=SELLER).value


def bought(replica: Replica) -> int:
    number = opened(replica)
    replica.call("buy", number, sender=BUYER, deposit=PRICE)
    assert replica.balances[replica.self_id] == PRICE
    return number


def gained(replica: Replica, person: bytes) -> int:
    return replica.balances[person] - FUNDS


def assert_over(replica: Replica, seller: int, buyer: int) -> None:
    """The escrow is gone, and this is what came of it."""
    assert (gained(replica, SELLER), gained(replica, BUYER)) == (seller, buyer)
    assert replica.balances[replica.self_id] == 0
    assert sum(replica.balances.values()) == len(PEOPLE) * FUNDS
    replica.refuses(UNKNOWN, "show", 0)
    replica.refuses(UNKNOWN, "release", 0, sender=BUYER)


def test_an_item_is_listed_shown_and_withdrawn(replica):
    number = opened(replica)
    shown = replica.call("show", number)
    assert shown.value == 1
    assert shown.emitted.endswith(b"\7bicycleblue")
    assert shown.emitted[1:17] == SELLER
    replica.refuses(NOT_ALLOWED, "withdraw", number, sender=OTHER)
    replica.call("withdraw", number, sender=SELLER)
    replica.refuses(UNKNOWN, "buy", number, sender=BUYER, deposit=PRICE)
    assert replica.call("list_item", ARBITER, 1, b"bell", b"", sender=SELLER).value == number + 1


def test_listings_are_validated(replica):
    opened(replica)
    for price in (0, 10**15 + 1):
        replica.refuses(BAD_PRICE, "list_item", ARBITER, price, b"x", b"", sender=SELLER)
    for title, about in ((b"", b""), (b"x" * 65, b""), (b"x", b"y" * 513)):
        replica.refuses(BAD_TEXT, "list_item", ARBITER, 1, title, about, sender=SELLER)
    for arbiter in (SELLER, b"", b"short"):
        replica.refuses(BAD_ARBITER, "list_item", arbiter, 1, b"x", b"", sender=SELLER)
    replica.call("list_item", ARBITER, 10**15, b"x" * 64, b"y" * 512, sender=SELLER)


def test_the_buyer_releases(replica):
    number = bought(replica)
    for person in (SELLER, ARBITER, OTHER):
        replica.refuses(NOT_ALLOWED, "release", number, sender=person)
    replica.call("release", number, sender=BUYER)
    assert_over(replica, PRICE, -PRICE)


def test_the_seller_refunds(replica):
    number = bought(replica)
    for person in (BUYER, ARBITER, OTHER):
        replica.refuses(NOT_ALLOWED, "refund", number, sender=person)
    replica.call("refund", number, sender=SELLER)
    assert_over(replica, 0, 0)


def test_a_dispute_is_resolved_by_the_arbiter_alone(replica):
    for to_seller in (0, 40, PRICE):
        one = replica.fork()
        number = bought(one)
        one.refuses(WRONG_STATUS, "resolve", number, to_seller, sender=ARBITER)
        one.refuses(NOT_ALLOWED, "dispute", number, sender=ARBITER)
        one.call("dispute", number, sender=BUYER)
        for person in (SELLER, BUYER, OTHER):
            one.refuses(NOT_ALLOWED, "resolve", number, to_seller, sender=person)
        one.refuses(BAD_SHARE, "resolve", number, PRICE + 1, sender=ARBITER)
        one.call("resolve", number, to_seller, sender=ARBITER)
        assert_over(one, to_seller, -to_seller)


def test_either_side_may_give_in_during_a_dispute(replica):
    yields, pays = replica.fork(), replica.fork()
    yields.call("dispute", bought(yields), sender=BUYER)
    yields.call("refund", 0, sender=SELLER)
    assert_over(yields, 0, 0)
    pays.call("dispute", bought(pays), sender=SELLER)
    pays.call("release", 0, sender=BUYER)
    assert_over(pays, PRICE, -PRICE)


def test_time_decides_what_nobody_disputed(replica):
    number = bought(replica)
    replica.epoch = 99
    replica.refuses(TOO_EARLY, "collect", number, sender=SELLER)
    replica.epoch = 100
    replica.refuses(TOO_LATE, "dispute", number, sender=BUYER)
    replica.refuses(NOT_ALLOWED, "collect", number, sender=BUYER)
    replica.call("collect", number, sender=SELLER)
    assert_over(replica, PRICE, -PRICE)


def test_a_dispute_that_is_left_alone_is_split(replica):
    number = bought(replica)
    replica.epoch = 99
    replica.call("dispute", number, sender=BUYER)
    replica.refuses(WRONG_STATUS, "collect", number, sender=SELLER)
    replica.epoch = 198
    replica.refuses(TOO_EARLY, "lapse", number, sender=BUYER)
    replica.epoch = 199
    replica.refuses(NOT_ALLOWED, "lapse", number, sender=OTHER)
    replica.call("lapse", number, sender=SELLER)
    assert_over(replica, 50, -50)


def test_paying_too_little_buys_nothing_and_too_much_comes_back(replica):
    number = opened(replica)
    replica.refuses(TOO_LITTLE, "buy", number, sender=BUYER)
    replica.refuses(TOO_LITTLE, "buy", number, sender=BUYER, deposit=PRICE - 1)
    assert gained(replica, BUYER) == 0
    replica.call("buy", number, sender=BUYER, deposit=PRICE + 50)
    assert gained(replica, BUYER) == -PRICE
    replica.refuses(WRONG_STATUS, "buy", number, sender=OTHER, deposit=PRICE)
    replica.refuses(WRONG_STATUS, "withdraw", number, sender=SELLER)


def test_an_escrow_pays_for_no_second_purchase(replica):
    number = bought(replica)
    second = replica.call("list_item", ARBITER, PRICE, b"another", b"", sender=SELLER).value
    replica.refuses(TOO_LITTLE, "buy", second, sender=OTHER)
    assert replica.call("show", number).value == 2


def test_a_deposit_that_nothing_asked_for_comes_back(replica):
    number = bought(replica)
    replica.call("show", number, sender=OTHER, deposit=7)
    replica.call("dispute", number, sender=BUYER, deposit=7)
    assert gained(replica, OTHER) == 0
    assert replica.balances[replica.self_id] == PRICE


def test_money_that_was_sent_by_mistake_blocks_nothing(replica):
    number = opened(replica)
    replica.fund(replica.self_id, 30)
    replica.call("buy", number, sender=BUYER, deposit=PRICE)
    assert gained(replica, BUYER) == 30 - PRICE
    assert replica.balances[replica.self_id] == PRICE


def test_nobody_buys_from_oneself_or_judges_ones_own_purchase(replica):
    number = opened(replica)
    for person in (SELLER, ARBITER):
        replica.refuses(NOT_ALLOWED, "buy", number, sender=person, deposit=PRICE)
