"""The options of a job: what draft they stand for, and what is refused by the name of the option."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
from tests.support.desks import ECHO
from tests.support.linked_guests import SUM_OF_SQUARES

from quorate.api.cli_options import JobOptions, draft_of, per_mille
from quorate.api.cli_tree import app
from quorate.errors import (
    AboveCap,
    ContradictoryOptions,
    ForbiddenImport,
    InvalidField,
    MalformedModule,
    MissingDependency,
    MissingEntry,
    NotWasm,
    TooLarge,
    UnreadableFile,
    UnusedDependency,
    UserError,
)
from quorate.model.resources import PLAIN
from quorate.model.units import KIB, MIB

COMMAND = """(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
  (memory (export "memory") 1) (func (export "_start")))"""
BOTH = (
    """(module (memory (export "memory") 1) (func (export "_start")) (func (export "run") (result i32) i32.const 1))"""
)
CLOCK = """(module (import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1) (func (export "_start")))"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "echo.wat"
    path.write_text(ECHO)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "input.json"
    path.write_bytes(b"[1, 2, 3]")
    return path


def text_module(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "module.wat"
    path.write_text(text)
    return path


def test_the_command_of_the_readme(module: Path, data: Path) -> None:
    draft = draft_of(JobOptions(wasm=module, input=data, private=True, replication=3))
    assert draft.private
    assert draft.input == b"[1, 2, 3]"
    assert (draft.proof.method, draft.proof.replicas, draft.proof.threshold) == ("quorum", 3, 0)
    assert draft.protections == {"commitment", "encryption", "ownership_proof"}


def test_nothing_but_a_module_is_a_public_job_with_the_default_proof(module: Path) -> None:
    draft = draft_of(JobOptions(wasm=module))
    assert (draft.private, draft.input) == (False, b"")
    assert (draft.proof.method, draft.proof.replicas, draft.proof.one_in) == ("rerun", 1, 10)


def test_private_without_input_still_seals_the_result(module: Path) -> None:
    draft = draft_of(JobOptions(wasm=module, private=True))
    assert draft.private
    assert draft.input == b""


def test_limits_and_clocks_carry_their_units(module: Path) -> None:
    limits = {"memory_mib": 8, "fuel": 123, "run_seconds": 2.5, "output_kib": 3}
    clocks = {"match_seconds": 1.0, "transfer_seconds": 2.0, "verify_seconds": 0.5}
    draft = draft_of(JobOptions(wasm=module, budget=42, **limits, **clocks))  # type: ignore[arg-type]
    found = draft.limits
    assert (found.memory_bytes, found.fuel, found.run_ms, found.output_bytes) == (8 * MIB, 123, 2500, 3 * KIB)
    times = draft.timeouts
    assert (times.match_ms, times.transfer_ms, times.run_ms, times.verify_ms) == (1000, 2000, 2500, 500)
    assert draft.budget_micro == 42


def test_what_the_machine_must_have_is_part_of_the_job(module: Path) -> None:
    needs = {"cpu_cores": 2, "storage_mib": 8, "bandwidth_kib": 3, "region": ("north", "west")}
    draft = draft_of(JobOptions(wasm=module, **needs))  # type: ignore[arg-type]
    asked = draft.resources
    assert (asked.cpu_cores, asked.storage_bytes, asked.bandwidth_bytes_per_s, asked.gpu_units) == (
        2,
        8 * MIB,
        3 * KIB,
        0,
    )
    assert draft.regions == ("north", "west")
    assert draft_of(JobOptions(wasm=module)).resources == PLAIN


def test_a_tier_sets_what_is_not_given(module: Path) -> None:
    draft = draft_of(JobOptions(wasm=module, tier="light", memory_mib=8))
    assert (draft.limits.memory_bytes, draft.limits.fuel, draft.limits.run_ms) == (8 * MIB, 10**8, 5000)
    assert draft.program.wasm_tier == "light"


def test_a_profile_may_be_named(tmp_path: Path) -> None:
    path = text_module(tmp_path, BOTH)
    assert draft_of(JobOptions(wasm=path)).program.profile == "pure"
    chosen = draft_of(JobOptions(wasm=path, profile="command")).program
    assert (chosen.profile, chosen.entry) == ("command", "_start")


def test_arguments_and_entry_are_handed_on(tmp_path: Path, module: Path) -> None:
    draft = draft_of(JobOptions(wasm=text_module(tmp_path, COMMAND), arg=("-x", "two words")))
    assert draft.arguments == ("-x", "two words")
    assert draft_of(JobOptions(wasm=module, entry="run")).program.entry == "run"


def test_dependencies_are_files_of_modules(tmp_path: Path, module: Path) -> None:
    paths = []
    for at, code in enumerate((SUM_OF_SQUARES.module, *SUM_OF_SQUARES.libraries)):
        paths.append(tmp_path / f"{at}.wasm")
        paths[-1].write_bytes(code)
    draft = draft_of(JobOptions(wasm=paths[0], dependency=tuple(paths[1:])))
    assert draft.program.dependencies == SUM_OF_SQUARES.dependencies
    tokens = ["compute", "submit", "--wasm", str(paths[0])]
    tokens += [word for path in paths[1:] for word in ("--dependency", str(path))]
    _, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    assert draft_of(bound.kwargs["options"]).program == draft.program
    with pytest.raises(MissingDependency) as caught:
        draft_of(JobOptions(wasm=paths[0], dependency=tuple(paths[1:3])))
    assert caught.value.field == "dependencies"
    with pytest.raises(UnusedDependency):
        draft_of(JobOptions(wasm=module, dependency=(paths[1],)))


def test_simulated_parts_are_allowed_by_name_only(module: Path) -> None:
    draft = draft_of(JobOptions(wasm=module, allow=("sim-enclave", "sim-enclave")))
    assert draft.policy.allow == ("sim-enclave",)
    assert draft_of(JobOptions(wasm=module)).policy.allow == ()


REFUSED: list[tuple[dict[str, Any], type[UserError], str]] = [
    ({"proof": "trust", "replication": 3}, ContradictoryOptions, "replication"),
    ({"proof": "trust", "threshold": 1}, ContradictoryOptions, "threshold"),
    ({"threshold": 1}, ContradictoryOptions, "threshold"),
    ({"proof": "quorum", "replication": 3, "one_in": 5}, ContradictoryOptions, "one-in"),
    ({"tier": "light", "memory_mib": 64}, ContradictoryOptions, "memory"),
    ({"arg": ("x",)}, ContradictoryOptions, "arguments"),
    ({"input_type": "JSON"}, InvalidField, "input-type"),
    ({"output_type": "text/csv;x=y"}, InvalidField, "output-type"),
    ({"input_type": "application/json"}, InvalidField, "input"),
    ({"one_in": 0}, InvalidField, "one-in"),
    ({"replication": 0}, InvalidField, "replication"),
    ({"replication": 3, "threshold": 4}, InvalidField, "threshold"),
    ({"replication": 3, "threshold": 0}, InvalidField, "threshold"),
    ({"replication": 3, "threshold": 1}, InvalidField, "threshold"),
    ({"memory_mib": 0}, InvalidField, "memory-mib"),
    ({"memory_mib": 2**60}, InvalidField, "memory-mib"),
    ({"fuel": -1}, InvalidField, "fuel"),
    ({"run_seconds": 0.0}, InvalidField, "run-seconds"),
    ({"run_seconds": float("nan")}, InvalidField, "run-seconds"),
    ({"match_seconds": float("inf")}, InvalidField, "match-seconds"),
    ({"budget": 0}, InvalidField, "budget"),
    ({"output_kib": 2**62}, InvalidField, "output-kib"),
    ({"dependency": (Path("absent.wasm"),)}, UnreadableFile, "dependency"),
    ({"cpu_cores": 0}, InvalidField, "cpu-cores"),
    ({"cpu_cores": 10**6}, InvalidField, "cpu_cores"),
    ({"storage_mib": 0}, InvalidField, "storage-mib"),
    ({"storage_mib": -1}, InvalidField, "storage-mib"),
    ({"storage_mib": 2**60}, InvalidField, "storage-mib"),
    ({"storage_mib": 1}, ContradictoryOptions, "storage_bytes"),
    ({"bandwidth_kib": 0}, InvalidField, "bandwidth-kib"),
    ({"bandwidth_kib": 2**54}, InvalidField, "bandwidth-kib"),
    ({"gpu_units": 0}, InvalidField, "gpu-units"),
    ({"gpu_units": 1}, ContradictoryOptions, "gpu_units"),
    ({"region": ("",)}, InvalidField, "regions"),
    ({"allow": ("enclave",)}, InvalidField, "allow"),
    ({"allow": tuple(f"sim-{number}" for number in range(9))}, InvalidField, "allow"),
    ({"entry": "nowhere"}, MissingEntry, "entry"),
    ({"profile": "command"}, MissingEntry, "entry"),
]


@pytest.mark.parametrize(("options", "kind", "field"), REFUSED, ids=lambda item: str(item) if item else "none")
def test_what_contradicts_itself_or_has_no_sense_is_refused_by_its_name(
    module: Path, options: dict[str, Any], kind: type[UserError], field: str
) -> None:
    with pytest.raises(kind) as caught:
        draft_of(JobOptions(wasm=module, **options))
    assert field in caught.value.field
    assert caught.value.fix


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"plain words", NotWasm),
        (b"", NotWasm),
        (b"\0asm\1\0\0\0\xff\xff\xff", MalformedModule),
        (b"(module (func (param i33)))", MalformedModule),
        (CLOCK.encode(), ForbiddenImport),
        (b'(module (import "env" "host" (func)))', ForbiddenImport),
        (b"(module)", MissingEntry),
    ],
)
def test_a_file_that_is_no_fitting_module_is_refused(tmp_path: Path, content: bytes, kind: type[UserError]) -> None:
    path = tmp_path / "module"
    path.write_bytes(content)
    with pytest.raises(kind) as caught:
        draft_of(JobOptions(wasm=path))
    assert caught.value.field
    assert caught.value.fix


def test_a_fault_in_the_text_form_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(MalformedModule, match="at line 2, column 8") as caught:
        draft_of(JobOptions(wasm=text_module(tmp_path, "(module\n (func x))")))
    assert str(caught.value).count("\n") == 0


def test_a_forbidden_import_is_named(tmp_path: Path) -> None:
    with pytest.raises(ForbiddenImport, match="clock_time_get") as caught:
        draft_of(JobOptions(wasm=text_module(tmp_path, CLOCK)))
    assert caught.value.fix == "build the module without it", "not what no option can do"
    with pytest.raises(ForbiddenImport, match="proc_exit"):
        draft_of(JobOptions(wasm=text_module(tmp_path, COMMAND), profile="pure"))


def test_a_file_that_is_missing_or_no_file_is_refused_by_its_option(module: Path, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="No such file") as caught:
        draft_of(JobOptions(wasm=tmp_path / "none.wasm"))
    assert caught.value.field == "wasm"
    with pytest.raises(UnreadableFile, match="directory") as caught:
        draft_of(JobOptions(wasm=module, input=tmp_path))
    assert caught.value.field == "input"


def test_an_input_over_its_size_is_refused_without_being_read_whole(module: Path, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLarge) as caught:
        draft_of(JobOptions(wasm=module, input=path, private=True))
    assert caught.value.field == "input"
    assert caught.value.fix
    assert not isinstance(caught.value, AboveCap)


@pytest.mark.parametrize(("text", "share"), [("20%", 200), ("0.2", 200), ("0", 0), ("100%", 1000), ("1", 1000)])
def test_a_share_is_a_percentage_or_a_fraction(text: str, share: int) -> None:
    assert per_mille(text) == share


@pytest.mark.parametrize("text", ["", "%", "half", "101%", "-1%", "1.5", "nan", "inf"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(InvalidField) as caught:
        per_mille(text)
    assert caught.value.field == "colluders"


def test_the_input_may_come_from_standard_input(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    tokens = ["compute", "submit", "--wasm", str(module), "--input", "-", "--private", "--arg", "-x"]
    command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    assert command.__name__ == "submit"
    options = bound.kwargs["options"]
    assert options.arg == ("-x",)
    assert draft_of(dataclasses.replace(options, arg=())).input == b"piped"


def test_standard_input_over_size_is_refused(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.model.job.INPUT_BYTES_MAX", 4)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    with pytest.raises(TooLarge, match="4 bytes") as caught:
        draft_of(JobOptions(wasm=module, input=Path("-")))
    assert caught.value.field == "input"


def test_media_types_are_part_of_the_job(module: Path, data: Path) -> None:
    draft = draft_of(JobOptions(wasm=module, input=data, input_type="text/plain", output_type="application/json"))
    assert (draft.input_media, draft.output_media) == ("text/plain", "application/json")
    plain = draft_of(JobOptions(wasm=module, input=data))
    assert (plain.input_media, plain.output_media) == ("", "")
    assert plain.fingerprint != draft.fingerprint
