"""The device's cryptography as callables: built for this machine, and for WebAssembly."""

from __future__ import annotations

import ctypes
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import wasmtime
from tests.support.repository import ROOT

DEVICE = ROOT / "device"
SHA512_STATE_BYTES = 256
"""More than the C structure takes."""
PAGE_BYTES = 1 << 16


class Engine(Protocol):
    def blake3(self, data: bytes) -> bytes: ...

    def sha512(self, parts: list[bytes]) -> bytes: ...

    def verify_signature(self, message: bytes, key: bytes, signature: bytes) -> bool: ...

    def verify_vrf(self, alpha: bytes, key: bytes, proof: bytes) -> bytes | None: ...


def make(target: str, build: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    """Runs one target of the device's makefile with its output in `build`."""
    command = ["make", "-C", str(DEVICE), f"BUILD={build}", *settings, target]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def built(target: str, build: Path, *settings: str) -> None:
    done = make(target, build, *settings)
    assert done.returncode == 0, done.stdout + done.stderr


class Native:
    """The shared library, through ctypes."""

    def __init__(self, build: Path) -> None:
        built("shared", build)
        self.library = ctypes.CDLL(str(build / "crypto.so"))

    def blake3(self, data: bytes) -> bytes:
        digest = ctypes.create_string_buffer(32)
        self.library.blake3_hash(digest, data, len(data))
        return digest.raw

    def sha512(self, parts: list[bytes]) -> bytes:
        state, digest = ctypes.create_string_buffer(SHA512_STATE_BYTES), ctypes.create_string_buffer(64)
        self.library.sha512_begin(state)
        for part in parts:
            self.library.sha512_add(state, part, len(part))
        self.library.sha512_end(state, digest)
        return digest.raw

    def verify_signature(self, message: bytes, key: bytes, signature: bytes) -> bool:
        return bool(self.library.ed25519_verify(message, len(message), key, signature))

    def verify_vrf(self, alpha: bytes, key: bytes, proof: bytes) -> bytes | None:
        beta = ctypes.create_string_buffer(64)
        valid = self.library.ecvrf_verify(beta, alpha, len(alpha), key, proof)
        assert valid or beta.raw == bytes(64)
        return beta.raw if valid else None


class Wasm:
    """The module, in wasmtime. Operands lie one after the other from `__heap_base` on."""

    def __init__(self, build: Path) -> None:
        built("wasm", build, f"ZIG={shlex.quote(sys.executable)} -m ziglang cc")
        engine = wasmtime.Engine()
        module = wasmtime.Module.from_file(engine, str(build / "crypto.wasm"))
        assert list(module.imports) == []
        self.store = wasmtime.Store(engine)
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self.memory = self.exports["memory"]
        self.heap = self.exports["__heap_base"].value(self.store)

    def _place(self, *operands: bytes) -> list[int]:
        addresses = [self.heap]
        for operand in operands:
            addresses.append(addresses[-1] + len(operand) + -len(operand) % 8)
        missing = addresses[-1] - self.memory.data_len(self.store)
        if missing > 0:
            self.memory.grow(self.store, -(-missing // PAGE_BYTES))
        for address, operand in zip(addresses, operands, strict=False):
            self.memory.write(self.store, operand, address)
        return addresses[:-1]

    def _call(self, name: str, *arguments: int) -> int:
        return self.exports[name](self.store, *arguments)

    def _read(self, address: int, size: int) -> bytes:
        return bytes(self.memory.read(self.store, address, address + size))

    def blake3(self, data: bytes) -> bytes:
        digest, at = self._place(bytes(32), data)
        self._call("blake3_hash", digest, at, len(data))
        return self._read(digest, 32)

    def sha512(self, parts: list[bytes]) -> bytes:
        digest, state, *places = self._place(bytes(64), bytes(SHA512_STATE_BYTES), *parts)
        self._call("sha512_begin", state)
        for at, part in zip(places, parts, strict=True):
            self._call("sha512_add", state, at, len(part))
        self._call("sha512_end", state, digest)
        return self._read(digest, 64)

    def verify_signature(self, message: bytes, key: bytes, signature: bytes) -> bool:
        at, key_at, signature_at = self._place(message, key, signature)
        return bool(self._call("ed25519_verify", at, len(message), key_at, signature_at))

    def verify_vrf(self, alpha: bytes, key: bytes, proof: bytes) -> bytes | None:
        beta, at, key_at, proof_at = self._place(bytes(64), alpha, key, proof)
        valid = self._call("ecvrf_verify", beta, at, len(alpha), key_at, proof_at)
        output = self._read(beta, 64)
        assert valid or output == bytes(64)
        return output if valid else None
