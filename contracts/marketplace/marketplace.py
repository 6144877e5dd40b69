"""Listings, and escrows that hold the price until buyer and seller, an arbiter or the calendar say whose it is. See
README.md beside this file."""

from mhr import (
    address,
    balance,
    buffer,
    emit,
    epoch,
    export,
    i64,
    limits,
    log,
    memory,
    nat,
    self_id,
    sender,
    set_i64,
    state,
    stored,
    transfer,
)

limits(cycles=100_000, state=1_048_576, arguments=2048)

TITLE_BYTES_MAX = 64
ABOUT_BYTES_MAX = 512
PRICE_MAX = 10**15
ID_BYTES = 16
DELIVERY_EPOCHS = 100
"""After so many the seller may take the price of what was not disputed."""
RULING_EPOCHS = 100
"""After so many a dispute without a ruling is split in halves."""

OPEN = 1
PAID = 2
DISPUTED = 3

UNKNOWN = 1
NOT_ALLOWED = 2
WRONG_STATUS = 3
TOO_LITTLE = 4
BAD_PRICE = 5
BAD_TEXT = 6
BAD_ARBITER = 7
TOO_EARLY = 8
TOO_LATE = 9
BAD_SHARE = 10
SHORT = 11

held: int = stored(b"held", 0)
"""The sum of all escrows. What the contract's account has beyond it came with this call, or by mistake."""
listings: int = stored(b"listings", 0)

ME = buffer(ID_BYTES)
CALLER = buffer(ID_BYTES)
KEY = buffer(9)
LISTING = buffer(1 + 3 * ID_BYTES + 16 + 1 + TITLE_BYTES_MAX + ABOUT_BYTES_MAX)
"""Status; seller; arbiter; buyer; price; the epoch from which time decides; length of the title, title, what it is."""
SELLER_AT = 1
ARBITER_AT = SELLER_AT + ID_BYTES
BUYER_AT = ARBITER_AT + ID_BYTES
PRICE_AT = BUYER_AT + ID_BYTES
DEADLINE_AT = PRICE_AT + 8
TITLE_AT = DEADLINE_AT + 8
TEXT_AT = TITLE_AT + 1


def key_of(number: nat) -> bytes:
    KEY[0] = 108
    set_i64(address(KEY) + 1, number)
    return KEY


def paid_in() -> nat:
    """What is in the account and in no escrow."""
    self_id(ME)
    return balance(ME) - held


def pay(who: bytes, amount: nat) -> None:
    if amount > 0:
        assert transfer(who, amount), SHORT


def enter() -> None:
    """Notes who calls, and gives back what it paid: only a buyer owes anything."""
    sender(CALLER)
    pay(CALLER, paid_in())


def find(number: nat) -> nat:
    """Brings a listing into LISTING; its size."""
    size = state.read(key_of(number), LISTING)
    assert size >= 0, UNKNOWN
    return size


def seller() -> bytes:
    return LISTING[SELLER_AT:ARBITER_AT]


def arbiter() -> bytes:
    return LISTING[ARBITER_AT:BUYER_AT]


def buyer() -> bytes:
    return LISTING[BUYER_AT:PRICE_AT]


def price() -> nat:
    return i64(address(LISTING) + PRICE_AT)


def deadline() -> nat:
    return i64(address(LISTING) + DEADLINE_AT)


def move_on(number: nat, size: nat, status: nat, epochs: nat) -> None:
    """Gives the listing in LISTING another status, and so many epochs from now."""
    LISTING[0] = status & 255
    set_i64(address(LISTING) + DEADLINE_AT, epoch() + epochs)
    state[key_of(number)] = LISTING[:size]


def close(number: nat, to_seller: nat) -> None:
    """Ends the escrow in LISTING: so much to the seller, the rest to the buyer."""
    global held
    held -= price()
    pay(seller(), to_seller)
    pay(buyer(), price() - to_seller)
    del state[key_of(number)]
    log(LISTING[:TITLE_AT])


@export
def list_item(mediator: bytes, cost: nat, title: bytes, text: bytes) -> int:
    """Lists something for a price, with the one who rules if there is a dispute; its number."""
    global listings
    enter()
    assert 1 <= cost <= PRICE_MAX, BAD_PRICE
    assert 1 <= len(title) <= TITLE_BYTES_MAX, BAD_TEXT
    assert len(text) <= ABOUT_BYTES_MAX, BAD_TEXT
    assert len(mediator) == ID_BYTES, BAD_ARBITER
    assert mediator != CALLER, BAD_ARBITER
    memory.copy(LISTING[SELLER_AT:], CALLER)
    memory.copy(LISTING[ARBITER_AT:], mediator)
    memory.fill(LISTING[BUYER_AT:PRICE_AT], 0)
    set_i64(address(LISTING) + PRICE_AT, cost)
    LISTING[TITLE_AT] = len(title) & 255
    size = TEXT_AT + memory.copy(LISTING[TEXT_AT:], title)
    size += memory.copy(LISTING[size:], text)
    number: nat = listings
    listings = number + 1
    move_on(number, size, OPEN, 0)
    return number


@export
def withdraw(number: nat) -> None:
    """The seller takes back what nobody has bought."""
    enter()
    find(number)
    assert seller() == CALLER, NOT_ALLOWED
    assert LISTING[0] == OPEN, WRONG_STATUS
    del state[key_of(number)]


@export
def buy(number: nat) -> int:
    """Pays the price, as the deposit of this call, into an escrow. What was paid beyond it comes back. The epoch from
    which the seller may take it."""
    global held
    sender(CALLER)
    size = find(number)
    assert LISTING[0] == OPEN, WRONG_STATUS
    assert seller() != CALLER, NOT_ALLOWED
    assert arbiter() != CALLER, NOT_ALLOWED
    paid = paid_in()
    assert paid >= price(), TOO_LITTLE
    pay(CALLER, paid - price())
    held += price()
    memory.copy(LISTING[BUYER_AT:], CALLER)
    move_on(number, size, PAID, DELIVERY_EPOCHS)
    return deadline()


@export
def release(number: nat) -> None:
    """The buyer is content, or gives in: all goes to the seller."""
    enter()
    find(number)
    assert LISTING[0] != OPEN, WRONG_STATUS
    assert buyer() == CALLER, NOT_ALLOWED
    close(number, price())


@export
def refund(number: nat) -> None:
    """The seller does not deliver, or gives in: all goes back to the buyer."""
    enter()
    find(number)
    assert LISTING[0] != OPEN, WRONG_STATUS
    assert seller() == CALLER, NOT_ALLOWED
    close(number, 0)


@export
def collect(number: nat) -> None:
    """The seller takes the price of what was neither released nor disputed in time."""
    enter()
    find(number)
    assert LISTING[0] == PAID, WRONG_STATUS
    assert seller() == CALLER, NOT_ALLOWED
    assert epoch() >= deadline(), TOO_EARLY
    close(number, price())


@export
def dispute(number: nat) -> None:
    """Buyer or seller call the arbiter, as long as time has not decided."""
    enter()
    size = find(number)
    assert LISTING[0] == PAID, WRONG_STATUS
    assert buyer() == CALLER or seller() == CALLER, NOT_ALLOWED
    assert epoch() < deadline(), TOO_LATE
    move_on(number, size, DISPUTED, RULING_EPOCHS)


@export
def resolve(number: nat, to_seller: nat) -> None:
    """The arbiter rules: so much to the seller, the rest to the buyer."""
    enter()
    find(number)
    assert LISTING[0] == DISPUTED, WRONG_STATUS
    assert arbiter() == CALLER, NOT_ALLOWED
    assert to_seller <= price(), BAD_SHARE
    close(number, to_seller)


@export
def lapse(number: nat) -> None:
    """Buyer or seller end a dispute that the arbiter left alone: half to each, an odd one to the buyer."""
    enter()
    find(number)
    assert LISTING[0] == DISPUTED, WRONG_STATUS
    assert buyer() == CALLER or seller() == CALLER, NOT_ALLOWED
    assert epoch() >= deadline(), TOO_EARLY
    close(number, price() // 2)


@export
def show(number: nat) -> int:
    """Emits a listing as it is kept; its status: 1 open, 2 paid, 3 disputed."""
    enter()
    emit(LISTING[: find(number)])
    return LISTING[0]
