"""The builder of the source documents: the sample line by line, what it detects, and everything it refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.desks import ECHO
from tests.support.linked_guests import ADD, MULTIPLY, SQUARE, SUM_OF_SQUARES, TALLY, Linked, made

import quorate
from quorate import Job, ResourceLimits
from quorate.api.builder import PROTECTIONS, Builder, Draft
from quorate.errors import (
    ContradictoryOptions,
    DependencyCycle,
    ForbiddenImport,
    InvalidField,
    MalformedModule,
    MissingDependency,
    MissingEntry,
    NotWasm,
    PolicyRefused,
    QuorateError,
    TooLarge,
    UnlinkedImport,
    UnreadableFile,
    UnusedDependency,
)
from quorate.execute.wasm.linking import import_name
from quorate.model.job import INPUT_BYTES_MAX
from quorate.model.resources import PLAIN
from quorate.model.units import MIB

COMMAND = """(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
  (memory (export "memory") 1) (func (export "_start")))"""
NUMBER = '(module (func (export "run") (result i32) i32.const 7))'


def unsound() -> bytes:
    """`NUMBER`, whose body leaves an i64 where its type says i32: well formed, and not valid."""
    module = Job.builder().wasm(NUMBER).build().module
    return module.replace(b"\x41\x07", b"\x42\x07")


def private() -> Builder:
    return Job.builder().wasm(ECHO).private_input(b"x").with_ownership_proof()


def test_the_sample_of_the_source_documents() -> None:
    draft = (
        Job.builder()
        .wasm(ECHO)
        .private_input(b"a secret")
        .with_ownership_proof()
        .limits(ResourceLimits(memory_bytes=64 << 20, fuel=1_000_000_000, run_ms=30_000))
        .build()
    )
    assert isinstance(draft, quorate.Draft)
    assert (draft.private, draft.input, draft.program.profile, draft.program.entry) == (
        True,
        b"a secret",
        "pure",
        "run",
    )
    assert draft.module.startswith(b"\0asm")
    assert "a secret" not in repr(draft)


def test_defaults_are_those_of_the_network() -> None:
    draft = private().build()
    assert (draft.limits.memory_bytes, draft.limits.fuel, draft.limits.run_ms) == (64 * MIB, 10**9, 30_000)
    clocks = draft.timeouts
    assert (clocks.match_ms, clocks.transfer_ms, clocks.run_ms, clocks.verify_ms) == (30_000, 300_000, 30_000, 60_000)
    assert (draft.proof.method, draft.proof.replicas, draft.policy.allow) == ("rerun", 1, ())


def test_one_limit_changed_leaves_the_others() -> None:
    draft = private().limits(ResourceLimits(fuel=5)).build()
    assert (draft.limits.fuel, draft.limits.memory_bytes, draft.limits.output_bytes) == (5, 64 * MIB, MIB)
    assert draft.timeouts.run_ms == 30_000


def test_a_module_may_be_bytes_a_path_or_text(tmp_path: Path) -> None:
    text = tmp_path / "program.wat"
    text.write_text(ECHO)
    module = private().build().module
    binary = tmp_path / "program.wasm"
    binary.write_bytes(module)
    drafts = [Job.builder().wasm(source).build() for source in (module, text, str(binary), ECHO, ECHO.encode())]
    assert {draft.program.digest for draft in drafts} == {private().build().program.digest}


def test_profiles_are_told_by_the_imports() -> None:
    command = Job.builder().wasm(COMMAND).arguments("-v", "x").build()
    assert (command.program.profile, command.program.entry, command.arguments) == ("command", "_start", ("-v", "x"))
    assert Job.builder().wasm(NUMBER).build().program.profile == "pure"
    bare = '(module (memory (export "memory") 1) (func (export "_start")))'
    assert Job.builder().wasm(bare).build().program.profile == "command"


def linked(program: Linked) -> Draft:
    builder = Job.builder().wasm(program.module)
    for code in program.libraries:
        builder.dependency(code)
    return builder.build()


def test_a_program_with_dependencies_lists_them_sorted(tmp_path: Path) -> None:
    draft = linked(SUM_OF_SQUARES)
    assert (draft.program.profile, draft.program.entry) == ("pure", "run")
    assert draft.program.dependencies == SUM_OF_SQUARES.dependencies
    assert draft.modules == {SUM_OF_SQUARES.digest: SUM_OF_SQUARES.module} | {
        part.digest: part.module for part in (ADD, MULTIPLY, SQUARE)
    }
    backwards = linked(SUM_OF_SQUARES._replace(libraries=SUM_OF_SQUARES.libraries[::-1]))
    assert backwards.fingerprint == draft.fingerprint
    (tmp_path / "add.wasm").write_bytes(ADD.module)
    text = (
        f'(module (import "{import_name(ADD.digest)}" "add" (func (param i32 i32) (result i32))) (func (export "run")))'
    )
    assert Job.builder().wasm(text).dependency(tmp_path / "add.wasm").build().dependencies == (ADD.module,)


def test_a_command_with_dependencies_is_a_command() -> None:
    wasi = '(import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))'
    rest = '(memory (export "memory") 1) (func (export "_start"))'
    add = '(import "{0}" "add" (func (param i32 i32) (result i32)))'
    assert linked(made(f"(module {add} {wasi} {rest})", ADD)).program.profile == "command"
    assert linked(made(f"(module {add} {rest})", ADD)).program.profile == "command"


def test_the_proof_dial() -> None:
    assert private().replication(5).build().proof.method == "quorum"
    dial = private().proof("quorum", threshold=2).replication(3).build().proof
    assert (dial.replicas, dial.threshold) == (3, 2)
    assert private().proof("rerun", one_in=4).build().proof.one_in == 4


def test_tiers_set_the_limits() -> None:
    light = private().tier("light").build()
    assert (light.limits.memory_bytes, light.limits.fuel, light.limits.run_ms) == (16 * MIB, 10**8, 5_000)
    assert light.program.wasm_tier == "light"
    assert private().tier("light").limits(ResourceLimits(memory_bytes=MIB, fuel=1, run_ms=1)).build().limits.fuel == 1


def test_resources_are_asked_for_beside_the_limits() -> None:
    draft = private().resources(cpu_cores=2, storage_bytes=8 * MIB, bandwidth_bytes_per_s=1).regions("north").build()
    assert (draft.resources.cpu_cores, draft.resources.storage_bytes) == (2, 8 * MIB)
    assert (draft.resources.bandwidth_bytes_per_s, draft.resources.gpu_units, draft.regions) == (1, 0, ("north",))
    assert private().build().resources == PLAIN


def test_an_input_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text("{}")
    assert Job.builder().wasm(ECHO).public_input(tmp_path / "input.json").build().input == b"{}"


REFUSED: dict[str, tuple[type[QuorateError], str, Callable[[Path], object]]] = {
    "no module": (InvalidField, "wasm", lambda tmp: Job.builder().build()),
    "no ownership proof": (
        InvalidField,
        "ownership_proof",
        lambda tmp: Job.builder().wasm(ECHO).private_input(b"x").build(),
    ),
    "ownership proof of nothing private": (
        ContradictoryOptions,
        "ownership_proof",
        lambda tmp: Job.builder().wasm(ECHO).public_input(b"x").with_ownership_proof().build(),
    ),
    "two inputs": (ContradictoryOptions, "input", lambda tmp: private().public_input(b"y")),
    "a module that is not there": (UnreadableFile, "wasm", lambda tmp: Job.builder().wasm(tmp / "absent.wasm")),
    "a module that is a folder": (UnreadableFile, "wasm", lambda tmp: Job.builder().wasm(tmp)),
    "an input that is not there": (UnreadableFile, "input", lambda tmp: Job.builder().private_input(tmp / "absent")),
    "an input that is text": (InvalidField, "input", lambda tmp: Job.builder().private_input("text")),  # type: ignore[arg-type]
    "an input over its limit": (TooLarge, "input", lambda tmp: Job.builder().public_input(bytes(INPUT_BYTES_MAX + 1))),
    "not wasm": (NotWasm, "module", lambda tmp: Job.builder().wasm(b"\x7fELF").build()),
    "text that is not UTF-8": (MalformedModule, "wasm", lambda tmp: Job.builder().wasm(b"(module \xff)")),
    "text that does not parse": (MalformedModule, "wasm", lambda tmp: Job.builder().wasm("(module (nonsense))")),
    "a module cut short": (
        MalformedModule,
        "module",
        lambda tmp: Job.builder().wasm(private().build().module[:-3]).build(),
    ),
    "a body of the wrong types": (MalformedModule, "module", lambda tmp: Job.builder().wasm(unsound()).build()),
    "a dependency of the wrong types": (
        MalformedModule,
        "dependency",
        lambda tmp: Job.builder().wasm(NUMBER).dependency(unsound()).build(),
    ),
    "a forbidden import": (
        ForbiddenImport,
        "module",
        lambda tmp: Job.builder().wasm('(module (import "env" "now" (func)) (func (export "run")))').build(),
    ),
    "a clock": (
        ForbiddenImport,
        "module",
        lambda tmp: (
            Job.builder()
            .wasm('(module (import "wasi_snapshot_preview1" "clock_time_get" (func)) (func (export "_start")))')
            .build()
        ),
    ),
    "a dependency that is not given": (
        MissingDependency,
        "dependencies",
        lambda tmp: Job.builder().wasm(SUM_OF_SQUARES.module).build(),
    ),
    "a dependency of a dependency that is not given": (
        MissingDependency,
        "dependencies",
        lambda tmp: linked(SUM_OF_SQUARES._replace(libraries=(ADD.module, SQUARE.module))),
    ),
    "a dependency that nobody imports": (
        UnusedDependency,
        "dependencies",
        lambda tmp: linked(SUM_OF_SQUARES._replace(libraries=(*SUM_OF_SQUARES.libraries, TALLY.module))),
    ),
    "a program that is its own dependency": (
        DependencyCycle,
        "dependencies",
        lambda tmp: linked(SUM_OF_SQUARES._replace(libraries=(*SUM_OF_SQUARES.libraries, SUM_OF_SQUARES.module))),
    ),
    "a dependency without the function": (
        UnlinkedImport,
        "module",
        lambda tmp: linked(made('(module (import "{0}" "subtract" (func)) (func (export "run")))', ADD)),
    ),
    "a dependency with another function of the name": (
        UnlinkedImport,
        "module",
        lambda tmp: linked(made('(module (import "{0}" "add" (func)) (func (export "run")))', ADD)),
    ),
    "a dependency's memory": (
        ForbiddenImport,
        "module",
        lambda tmp: linked(made('(module (import "{0}" "memory" (memory 1)) (func (export "run")))', MULTIPLY)),
    ),
    "a dependency named by no digest": (
        ForbiddenImport,
        "module",
        lambda tmp: Job.builder().wasm('(module (import "blake3:AB" "f" (func)) (func (export "run")))').build(),
    ),
    "a dependency that asks for WASI": (
        ForbiddenImport,
        "dependencies",
        lambda tmp: linked(made('(module (import "{0}" "_start" (func)) (func (export "run")))', made(COMMAND))),
    ),
    "a dependency that is no module": (
        NotWasm,
        "dependency",
        lambda tmp: Job.builder().wasm(NUMBER).dependency(b"\x7fELF").build(),
    ),
    "a dependency cut short": (
        MalformedModule,
        "dependency",
        lambda tmp: Job.builder().wasm(NUMBER).dependency(ADD.module[:-3]).build(),
    ),
    "a dependency that is not there": (
        UnreadableFile,
        "dependency",
        lambda tmp: Job.builder().dependency(tmp / "absent.wasm"),
    ),
    "a dependency given twice": (
        ContradictoryOptions,
        "dependency",
        lambda tmp: Job.builder().dependency(ADD.module).dependency(ADD.module),
    ),
    "seventeen dependencies": (
        InvalidField,
        "dependency",
        lambda tmp: linked(Linked(ADD.module, tuple(made(f"(module (memory {at}))").module for at in range(17)))),
    ),
    "modules that are too many together": (
        TooLarge,
        "dependencies",
        lambda tmp: linked(
            made(
                '(module (import "{0}" "f" (func)) (table 1 funcref) (func (export "run")))',
                made("(module " + "(table 1 funcref)" * 10 + ' (func (export "f")))'),
            )
        ),
    ),
    "no such entry": (MissingEntry, "entry", lambda tmp: private().entry("walk").build()),
    "input for a program without": (
        InvalidField,
        "input",
        lambda tmp: Job.builder().wasm(NUMBER).public_input(b"x").build(),
    ),
    "arguments for a pure program": (ContradictoryOptions, "arguments", lambda tmp: private().arguments("x").build()),
    "arguments with a NUL": (
        InvalidField,
        "arguments",
        lambda tmp: Job.builder().wasm(COMMAND).arguments("a\0").build(),
    ),
    "arguments too long": (
        InvalidField,
        "arguments",
        lambda tmp: Job.builder().wasm(COMMAND).arguments("a" * 40_000).build(),
    ),
    "no replicas": (InvalidField, "replication", lambda tmp: private().replication(0).build()),
    "too many replicas": (InvalidField, "replication", lambda tmp: private().replication(65).build()),
    "replicas without a quorum": (
        ContradictoryOptions,
        "replication",
        lambda tmp: private().proof("trust").replication(3).build(),
    ),
    "a threshold of a minority": (
        InvalidField,
        "threshold",
        lambda tmp: private().proof("quorum", threshold=1).replication(3).build(),
    ),
    "a threshold above the replicas": (
        InvalidField,
        "threshold",
        lambda tmp: private().proof("quorum", threshold=4).replication(3).build(),
    ),
    "a proof that is not built": (InvalidField, "proof", lambda tmp: private().proof("stark")),  # type: ignore[arg-type]
    "a tier that is none": (InvalidField, "tier", lambda tmp: private().tier("huge")),  # type: ignore[arg-type]
    "a tier and more than it": (
        ContradictoryOptions,
        "memory_bytes",
        lambda tmp: private().tier("light").limits(ResourceLimits(memory_bytes=64 * MIB)).build(),
    ),
    "privacy that is not built": (PolicyRefused, "privacy", lambda tmp: private().privacy("enclave")),
    "a clock that is none": (InvalidField, "lunch_ms", lambda tmp: private().timeouts(lunch_ms=1)),
    "a clock without time": (InvalidField, "match_ms", lambda tmp: private().timeouts(match_ms=0).build()),
    "a limit of nothing": (InvalidField, "fuel", lambda tmp: ResourceLimits(fuel=0)),
    "a limit that is no integer": (InvalidField, "run_ms", lambda tmp: ResourceLimits(run_ms=0.5)),  # type: ignore[arg-type]
    "a core too few": (InvalidField, "cpu_cores", lambda tmp: private().resources(cpu_cores=0)),
    "no storage at all": (InvalidField, "storage_bytes", lambda tmp: private().resources(storage_bytes=0)),
    "storage below nothing": (InvalidField, "storage_bytes", lambda tmp: private().resources(storage_bytes=-1)),
    "more storage than there is a number for": (
        InvalidField,
        "storage_bytes",
        lambda tmp: private().resources(storage_bytes=1 << 63),
    ),
    "storage for less than the job": (
        ContradictoryOptions,
        "storage_bytes",
        lambda tmp: private().resources(storage_bytes=MIB).build(),
    ),
    "bandwidth that is no integer": (
        InvalidField,
        "bandwidth_bytes_per_s",
        lambda tmp: private().resources(bandwidth_bytes_per_s=1.5),  # type: ignore[arg-type]
    ),
    "more GPUs than there are": (InvalidField, "gpu_units", lambda tmp: private().resources(gpu_units=10**9)),
    "a GPU for a module": (ContradictoryOptions, "gpu_units", lambda tmp: private().resources(gpu_units=1).build()),
    "a region without a name": (InvalidField, "regions", lambda tmp: private().regions("here", "")),
    "a region twice": (InvalidField, "regions", lambda tmp: private().regions("here", "here")),
    "too many regions": (InvalidField, "regions", lambda tmp: private().regions(*map(str, range(17)))),
    "a priority out of range": (InvalidField, "priority", lambda tmp: private().priority(10)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_by_its_field(name: str, tmp_path: Path) -> None:
    kind, field, build = REFUSED[name]
    with pytest.raises(kind) as caught:
        build(tmp_path)
    assert type(caught.value) is kind
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_a_private_draft_lacks_none_of_its_protections(protection: str) -> None:
    draft = private().build()
    with pytest.raises(InvalidField, match="missing from a private job") as caught:
        dataclasses.replace(draft, protections=draft.protections - {protection})
    assert caught.value.field == protection


def test_a_draft_is_immutable_and_known_by_its_fingerprint() -> None:
    draft = private().build()
    with pytest.raises(dataclasses.FrozenInstanceError):
        draft.private = False  # type: ignore[misc]
    others = [
        private().replication(3).build(),
        private().budget(1).build(),
        private().resources(cpu_cores=2).build(),
        Job.builder().wasm(ECHO).private_input(b"y").with_ownership_proof().build(),
        Job.builder().wasm(ECHO).public_input(b"x").build(),
    ]
    assert private().build().fingerprint == draft.fingerprint
    assert len({item.fingerprint for item in (draft, *others)}) == 6
    assert isinstance(draft, Draft)
