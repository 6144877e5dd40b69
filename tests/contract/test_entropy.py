"""What every Entropy fit for production promises (`quorate.ports.Entropy`), run for each adapter."""

from __future__ import annotations

import os

import pytest

from quorate.adapters.entropy import DRAW_BYTES_MAX, SystemEntropy
from quorate.errors import InvalidField
from quorate.ports import Entropy

ADAPTERS = {"system": SystemEntropy}


@pytest.fixture(params=ADAPTERS)
def entropy(request: pytest.FixtureRequest) -> Entropy:
    return ADAPTERS[request.param]()


@pytest.mark.parametrize("size", [1, 12, 32, 64, 4096, DRAW_BYTES_MAX])
def test_a_draw_has_the_size_that_was_asked_for(entropy: Entropy, size: int) -> None:
    assert len(entropy.draw(size)) == size


def test_draws_do_not_repeat(entropy: Entropy) -> None:
    assert len({entropy.draw(16) for _ in range(10_000)}) == 10_000


def test_bits_are_balanced(entropy: Entropy) -> None:
    ones = int.from_bytes(entropy.draw(125_000)).bit_count()
    assert abs(ones - 500_000) < 5_000, "ten standard deviations of a fair coin"


def test_a_forked_child_draws_other_bytes(entropy: Entropy) -> None:
    entropy.draw(32)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, entropy.draw(32))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    assert len(theirs) == 32
    assert theirs != entropy.draw(32)


@pytest.mark.parametrize("size", [0, -1, DRAW_BYTES_MAX + 1])
def test_an_empty_or_enormous_draw_is_refused(entropy: Entropy, size: int) -> None:
    with pytest.raises(InvalidField, match="size"):
        entropy.draw(size)
