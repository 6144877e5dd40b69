"""How numbers, explanations, quotes and this machine are put into words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.job_town import Town, quorum
from tests.support.terminal import Cli, cli_for

from quorate.api import doctor, explaining, render
from quorate.api.examples import example
from quorate.api.files_out import write_whole
from quorate.api.onlookers import executors, search, windows
from quorate.api.status import load_features
from quorate.errors import CohortTooLarge, InvalidField, UnaffordableJob, UnreadableFile
from quorate.jobs.explain import explain
from quorate.jobs.quote import quote
from quorate.market.matching import match
from quorate.model.units import MicroCredits, Millis


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    return cli_for(capfd, monkeypatch, tmp_path / "home")


@pytest.fixture(scope="module")
def town() -> Town:
    return Town(providers=4)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1.0 s"),
        (1449, "1.4 s"),
        (125_000, "2 min 5 s"),
        (12_000_000, "3 h 20 min"),
    ],
)
def test_times_carry_their_unit(milliseconds: int, text: str) -> None:
    assert render.duration(milliseconds) == text


def test_the_elapsed_time_of_a_job_is_as_the_design_prints_it() -> None:
    assert render.elapsed(1449) == "1.4s"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (3891, "3.8 KiB"),
        (64 << 20, "64 MiB"),
        (5 << 40, "5120 GiB"),
    ],
)
def test_sizes_carry_their_unit(count: int, text: str) -> None:
    assert render.size(count) == text


@pytest.mark.parametrize(
    ("ppb", "text"),
    [(0, "never"), (1, "1 in 1,000,000,000"), (800_000, "1 in 1,250"), (750_000_000, "75 %"), (10**9, "always")],
)
def test_odds_are_said_as_people_say_them(ppb: int, text: str) -> None:
    assert explaining.odds(ppb) == text


def test_plurals() -> None:
    said = [render.plural(*pair) for pair in ((1, "job"), (2, "job"), (6, "process"), (3, "copy"))]
    assert said == ["1 job", "2 jobs", "6 processes", "3 copies"]


def test_a_table_in_a_pipe_is_plain_aligned_text(capsys: pytest.CaptureFixture[str]) -> None:
    render.say_table(("name", "count"), [("a", 1), ("[bold]b[/bold] :smile:", 22)])
    assert (
        capsys.readouterr().out
        == "name                    count\na                           1\n[bold]b[/bold] :smile:     22\n"
    )


def test_a_quote_says_price_eyes_and_odds(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    job = town.job(quorum(3), private=True).job
    offers = {listing.offer.provider: listing.offer for listing in town.listings()}
    found = quote(job, match(town.request(job), town.listings(), town.standing()), offers, 250)
    explaining.print_quote(found)
    shown = " ".join(capsys.readouterr().out.split())
    assert explaining.refusal(found) is None
    for words in (
        "executors you selected see them in plaintext",
        "If 1 of the 4 operators here work together against you",
        "a wrong result is accepted never",
        "no result at all 75 %",
        "shares not built",
        "stark not built",
        "the roster allows 1 round and 1 reserve",
        "micro-credits held until the job is settled",
    ):
        assert words in shown


@pytest.mark.parametrize("private", [False, True])
def test_a_printed_quote_says_that_the_provider_of_a_public_job_sees_it(
    town: Town, capsys: pytest.CaptureFixture[str], private: bool
) -> None:
    """S-A43. The privacy dial names the words as a choice in either case; as what is so, they stand above it."""
    job = town.job(quorum(3), private=private).job
    offers = {listing.offer.provider: listing.offer for listing in town.listings()}
    explaining.print_quote(quote(job, match(town.request(job), town.listings(), town.standing()), offers, 250))
    shown = " ".join(capsys.readouterr().out.split())
    assert ("provider sees input and output: the job is public" in shown) is not private
    assert ("executors you selected see them in plaintext" in shown) is private


@pytest.mark.parametrize(
    ("changes", "replicas", "kind"), [({}, 5, CohortTooLarge), ({"budget_micro": MicroCredits(1)}, 3, UnaffordableJob)]
)
def test_a_quote_for_what_cannot_be_had_is_a_refusal(
    town: Town, changes: dict[str, MicroCredits], replicas: int, kind: type[Exception]
) -> None:
    job = town.job(quorum(replicas), **changes).job
    offers = {listing.offer.provider: listing.offer for listing in town.listings()}
    found = quote(job, match(town.request(job), town.listings(), town.standing()), offers, 200)
    explaining.print_quote(found)
    assert isinstance(explaining.refusal(found), kind)


def test_an_explanation_says_who_was_asked_and_what_was_decided(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    state = town.run(town.job(quorum(3)), {1: "silent"})
    explaining.print_explanation(explain(state, Millis(town.now)).to_dict())
    shown = capsys.readouterr().out
    assert "clock: none is running" in shown
    assert "has opened its result" in shown
    assert "lost its place: " in shown
    assert "What was decided, and when" in shown


def test_who_was_given_the_input_follows_from_the_receipt(town: Town) -> None:
    receipt = town.receipt(town.run(town.job(quorum(3), private=True)))
    drawn = executors(receipt)
    assert len(drawn) == 3
    offers = {listing.offer.provider: listing.offer.operator for listing in town.listings()}
    assert drawn.items() <= offers.items()


def test_the_search_finds_eight_bytes_of_a_secret_and_no_public_ones(tmp_path: Path) -> None:
    pieces = windows([b"secret words", b"short"], [b"a public word", b"t words"])
    assert b"secret w" in pieces
    assert windows([b"public word"], [b"a public word"]) == frozenset()
    (tmp_path / "clean").write_bytes(b"secret\0words" * 100)
    assert search(tmp_path, pieces) == (1, 0)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "leak").write_bytes(b"....ecret wor....")
    assert search(tmp_path, pieces) == (2, 1)


def test_doctor_names_every_layer_and_counts_every_feature(run: Cli) -> None:
    done = run("doctor")
    rows = load_features()
    assert done.code in (0, 68)
    for word in ("landlock", "seccomp", "rlimits", "wasmtime", "socket path", "enclave", "stark"):
        assert word in done.out
    assert f"{len(rows)} features: " in done.out
    told = json.loads(run("doctor", "--json").out.partition('{\n  "error"')[0])
    assert len(told["features"]) == len(rows)
    assert told["can_execute"] == (done.code == 0)
    assert all(row["id"] in run("doctor", "--all").out for row in told["features"][:3])


def test_doctor_refuses_a_machine_that_lacks_what_policy_demands(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.execute.jail.layers", dict)
    done = run("doctor")
    assert done.code == 68
    assert done.err.startswith("quorate: error: doctor: jobs cannot run here: ")
    assert "absent" in done.out


def test_what_is_odd_about_a_platform_is_one_plain_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.platform_notes() == [] or doctor.sys.version_info[:2] not in doctor.TESTED_PYTHONS
    monkeypatch.setattr(doctor.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(doctor.sys, "version_info", (3, 15, 0))
    untested, mac = doctor.platform_notes()
    assert "untested; tested are 3.11, 3.12, 3.13" in untested
    assert "macOS has neither Landlock nor seccomp" in mac
    monkeypatch.setattr(doctor.platform, "system", lambda: "Linux")
    monkeypatch.setattr(doctor.platform, "libc_ver", lambda: ("", ""))
    assert "musl" in doctor.platform_notes()[-1]


def test_a_socket_path_that_does_not_fit_is_told(tmp_path: Path) -> None:
    assert doctor.socket_facts(Path("/tmp/q"))["fits"]
    assert not doctor.socket_facts(Path("/tmp") / ("q" * 100))["fits"]


def test_doctor_says_what_to_do_about_a_home_that_is_too_deep(run: Cli) -> None:
    assert "too long" not in run("doctor").err
    assert "too long for a socket; choose a shorter QUORATE_HOME" in run("doctor", "--home", "/tmp/" + "q" * 100).err


def test_the_shipped_examples_are_found() -> None:
    assert example("aggregation", "aggregation.wasm").read_bytes().startswith(b"\0asm")
    with pytest.raises(UnreadableFile, match="not installed"):
        example("aggregation", "none.wasm")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write_whole(path, b"first", secret=False)
    write_whole(path, b"second", secret=True)
    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidField) as caught:
        write_whole(tmp_path / "folder", b"x", secret=True)
    assert caught.value.field == "out"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["folder", "out"]
