"""The programs of `bench/contracts.py` for the Ethereum virtual machine, run by revm through pyrevm.

Runs in the peers' own environment: `python revm_contracts.py RUNS FOLDER NAME=N...`. Prints, for each program, its
result and the least processor seconds of RUNS runs. Each is written by hand as tightly as the machine allows: all
variables on the stack, return addresses in `fib` on the stack too.
"""

from __future__ import annotations

import json
import sys
import time

from pyrevm import EVM, AccountInfo

OPCODES = {
    "ADD": 1, "MUL": 2, "SUB": 3, "MOD": 6, "LT": 0x10, "GT": 0x11, "ISZERO": 0x15, "SHR": 0x1C, "CALLDATALOAD": 0x35,
    "POP": 0x50, "MLOAD": 0x51, "MSTORE": 0x52, "MSTORE8": 0x53, "JUMP": 0x56, "JUMPI": 0x57, "JUMPDEST": 0x5B,
    "DUP1": 0x80, "DUP2": 0x81, "DUP3": 0x82, "DUP4": 0x83, "SWAP1": 0x90, "SWAP2": 0x91, "RETURN": 0xF3,
}  # fmt: skip
ANSWER = "0 MSTORE 32 0 RETURN"
PROGRAMS = {
    "loop": f"""
        0 CALLDATALOAD 0 1
        loop: DUP3 ISZERO @end JUMPI
        DUP1 SWAP2 ADD 1000000007 SWAP1 MOD SWAP2 1 SWAP1 SUB SWAP2 @loop JUMP
        end: POP {ANSWER}""",
    "sieve": f"""
        0 CALLDATALOAD 0 2
        outer: DUP3 DUP2 LT ISZERO @done JUMPI
        DUP1 MLOAD 248 SHR @next JUMPI
        SWAP1 1 ADD SWAP1 DUP1 DUP1 ADD
        inner: DUP4 DUP2 LT ISZERO @out JUMPI
        1 DUP2 MSTORE8 DUP2 ADD @inner JUMP
        out: POP
        next: 1 ADD @outer JUMP
        done: POP {ANSWER}""",
    "fib": f"""
        @finish 0 CALLDATALOAD
        fib: DUP1 2 GT @base JUMPI
        @one DUP2 1 SWAP1 SUB @fib JUMP
        one: SWAP1 @two SWAP1 2 SWAP1 SUB @fib JUMP
        two: ADD
        base: SWAP1 JUMP
        finish: {ANSWER}""",
}
CALLER, CONTRACT = "0x" + "11" * 20, "0x" + "22" * 20


def assembled(text: str) -> bytes:
    code, labels, waiting = bytearray(), {}, {}
    for word in text.split():
        if word.endswith(":"):
            labels[word[:-1]] = len(code)
            code.append(OPCODES["JUMPDEST"])
        elif word.startswith("@"):
            waiting[len(code) + 1] = word[1:]
            code += bytes([0x61, 0, 0])
        elif word.isdigit():
            size = max(1, -(-int(word).bit_length() // 8))
            code += bytes([0x5F + size]) + int(word).to_bytes(size, "big")
        else:
            code.append(OPCODES[word])
    for place, label in waiting.items():
        code[place : place + 2] = labels[label].to_bytes(2, "big")
    return bytes(code)


def seconds_of(name: str, argument: int, runs: int) -> tuple[int, float]:
    machine = EVM(spec_id="CANCUN")
    machine.insert_account_info(CONTRACT, AccountInfo(code=assembled(PROGRAMS[name])))
    took, answer = [], b""
    for _ in range(runs):
        began = time.process_time()
        answer = machine.message_call(CALLER, CONTRACT, calldata=argument.to_bytes(32, "big"), gas=2**40)
        took.append(time.process_time() - began)
    return int.from_bytes(answer, "big"), min(took)


def main() -> None:
    runs = int(sys.argv[1])
    figures = {}
    for words in sys.argv[3:]:
        name, _, argument = words.partition("=")
        answer, seconds = seconds_of(name, int(argument), runs)
        figures[f"{name}_answer"], figures[f"{name}_s"] = answer, seconds
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
