"""Text to container and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.bytecode_vectors.form import vectors
from tests.support.random_contracts import source

from quorate.errors import BadContract, InvalidField
from quorate.execute.bytecode.assembler import assemble, parse
from quorate.execute.bytecode.disassembler import disassemble
from quorate.execute.bytecode.verify import load


@given(st.integers(0, 2**32))
def test_disassembled_text_gives_the_same_bytes(seed):
    data = assemble(source(seed))
    assert assemble(disassemble(load(data))) == data


def test_every_contract_of_the_vectors_makes_the_round_trip():
    good = {
        containers.get(vector["container"], vector["container"])
        for vector, containers in vectors()
        if "refused" not in vector["expect"]
    }
    assert len(good) > 50
    for data in map(bytes.fromhex, good):
        assert assemble(disassemble(load(data))) == data


def test_names_of_inner_functions_never_meet_exported_ones():
    data = assemble(".func f1() -> 0\nCALL x\nRET\n.func x/0 -> 0\nRET")
    text = disassemble(load(data))
    assert ".func f_1/0" in text
    assert assemble(text) == data


def test_both_names_of_the_machine_are_taken():
    body = ".func main() -> 0\nRET"
    assert assemble(f".machine mhr-byte\n{body}") == assemble(f".machine nxs-byte\n{body}") == assemble(body)


def test_one_of_them_is_written():
    made = assemble(".machine nxs-byte\n.func f() -> 0\n    RET\n")
    assert disassemble(load(made)).startswith(".machine mhr-byte\n")
    with pytest.raises(InvalidField, match="line 1"):
        assemble(".machine evm\n.func f() -> 0\n    RET\n")


def test_data_and_comments():
    container = parse('.memory 16 ; small\n.data "a;b" 0x00ff ; two parts\n.func main() -> 0\nRET')
    assert container.data == b"a;b\x00\xff"
    assert container.reserved == 8


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (".machine evm", "not known here"),
        (".colour 3", "not known here"),
        (".memory many", "invalid literal"),
        ("NOP", "NOP"),
        ("add", "add"),
        ("PUSH", "takes sleb128"),
        ("ADD 1", "takes nothing"),
        ("PUSH 9223372036854775808", "does not fit a cell"),
        ("LOAD u64", "U64"),
        ("LOAD local", "not a mode"),
        ("LOAD local 128", "not a mode"),
        ("JMP a b", "takes u16"),
        (".func main(x) -> 1", "a parameter is"),
        (".func main", "a function is"),
        ("here:\nhere:", "there already"),
        (".data 0x0", "data is"),
    ],
)
def test_a_bad_line_is_named(line, fault):
    with pytest.raises(InvalidField, match=r"line [23]") as caught:
        assemble(f".func main() -> 0\n{line}\nRET")
    assert fault in str(caught.value)


@pytest.mark.parametrize("text", ["JMP nowhere", "CALL nobody", "RET\n.func main() -> 0"])
def test_a_name_without_a_place_is_refused(text):
    with pytest.raises(InvalidField, match="source"):
        assemble(f".func main() -> 0\n{text}\nRET")


def test_an_instruction_before_the_first_function_is_refused():
    with pytest.raises(InvalidField, match="before the first"):
        assemble("RET")


def test_code_that_does_not_verify_is_refused_at_its_address():
    with pytest.raises(BadContract) as caught:
        assemble(".func main() -> 0\nPUSH 1\nADD\nRET")
    assert (caught.value.fault, caught.value.at) == ("underflow", 2)
