"""The conformance vectors: complete, as their cases write them, and met by the reference."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.support.bytecode_vectors.files import FILES, text_of
from tests.support.bytecode_vectors.form import FOLDER, read, reference, vectors, written
from tests.support.bytecode_vectors.probes import COST, Probe

from quorate.execute.bytecode.faults import Fault
from quorate.execute.bytecode.host import Outcome
from quorate.execute.bytecode.opcodes import TABLE, Op, Trap
from quorate.execute.bytecode.vectors import differences, observe

VECTORS = vectors()


@pytest.mark.parametrize("name", FILES)
def test_the_reference_meets_every_vector(name):
    assert list(differences(read(FOLDER / f"{name}.json"), reference)) == []


@pytest.mark.parametrize("name", FILES)
def test_files_are_what_their_cases_write(name):
    text = (FOLDER / f"{name}.json").read_text()
    assert text == text_of(name)
    assert len(text) < 2_000_000


def test_there_are_a_thousand_each_with_its_name():
    names = [vector["name"] for vector, _ in VECTORS]
    assert len(names) == len(set(names)) >= 1000
    assert {path.stem for path in FOLDER.glob("*.json")} == set(FILES)


def test_every_opcode_has_ten_and_each_of_its_traps():
    count = Counter(vector["name"].partition("/")[0] for vector, _ in VECTORS)
    assert {op.name for op in Op if count[op.name] < 10} == set()
    met = {(vector["name"].partition("/")[0], vector["expect"].get("trap")) for vector, _ in VECTORS}
    declared = {(op.name, trap.name) for op, row in TABLE.items() for trap in (*row.traps, Trap.OUT_OF_CYCLES)}
    assert declared - met == set()


def test_no_opcode_traps_with_what_its_row_does_not_list():
    always = {"NONE", "OUT_OF_CYCLES"}
    opcodes = {op.name: {trap.name for trap in row.traps} | always for op, row in TABLE.items()}
    for vector, _ in VECTORS:
        op = vector["name"].partition("/")[0]
        if op in opcodes and "trap" in vector["expect"]:
            assert vector["expect"]["trap"] in opcodes[op], vector["name"]


def test_every_fault_has_a_vector_of_its_name():
    for fault in Fault:
        named = [vector for vector, _ in VECTORS if vector["name"].startswith(f"refused/{fault.value}/")]
        assert named, fault
        assert {vector["expect"]["refused"] for vector in named} == {fault.value}


def test_costs_were_written_down_twice():
    assert {op.name: row.cycles for op, row in TABLE.items()} == COST


def test_a_reference_that_disagrees_is_refused():
    wrong = Probe("ADD", 2, 1).ok("wrong", (1, 2), [4])
    with pytest.raises(AssertionError):
        written("a wrong statement", [wrong])


def test_an_engine_that_is_off_by_one_cycle_is_noticed():
    def engine(request):
        outcome = reference(request)
        return Outcome(outcome.status, outcome.trap, outcome.pc, outcome.cycles + 1, outcome.code, outcome.results)

    vector, containers = next(pair for pair in VECTORS if pair[0]["name"] == "ADD/1_2")
    assert observe(vector, containers, reference) == vector["expect"]
    assert observe(vector, containers, engine) != vector["expect"]
