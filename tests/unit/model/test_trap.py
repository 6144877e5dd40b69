"""Rule R5: which outcomes may agree. The words are signed, so they are pinned here one by one."""

from quorate.model.trap import FAILURES, TRAPS, VOTABLE, Status, is_votable


def test_every_status_is_votable_or_a_failure_and_none_is_both():
    assert set(Status) == VOTABLE | FAILURES
    assert not VOTABLE & FAILURES


def test_votable_words_are_pinned():
    assert sorted(VOTABLE) == [
        "aborted",
        "bad_conversion",
        "contract_trap",
        "division_by_zero",
        "indirect_call",
        "integer_overflow",
        "memory_limit",
        "nonzero_exit",
        "out_of_bounds",
        "out_of_fuel",
        "output_limit",
        "success",
        "unreachable",
        "unresolved",
    ]


def test_failures_never_vote():
    for word in ("wall_clock", "compile_clock", "native_stack_overflow", "worker_death", "cancelled"):
        assert word in FAILURES
        assert not is_votable(word)


def test_a_word_outside_the_vocabulary_is_no_vote():
    assert not is_votable("timeout")
    assert not is_votable("")
    assert not is_votable("SUCCESS")


def test_success_and_exit_are_no_traps():
    assert Status.SUCCESS not in TRAPS
    assert Status.NONZERO_EXIT not in TRAPS
    assert Status.OUT_OF_FUEL in TRAPS
