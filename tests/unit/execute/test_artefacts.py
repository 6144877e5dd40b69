"""Compiled code comes back from the disk whole and ours, or not at all."""

import os

import pytest

from quorate.errors import WorldError
from quorate.execute.wasm.artefacts import ArtefactStore, seal, unseal

KEY = bytes(range(32))
DIGEST = b"d" * 32
KIND = "wasmtime-1+abc wide x86_64"


def test_round_trip():
    assert unseal(KEY, KIND, DIGEST, seal(KEY, KIND, DIGEST, b"code")) == b"code"


@pytest.mark.parametrize("at", range(36))
def test_a_flipped_byte_anywhere_is_refused(at):
    sealed = bytearray(seal(KEY, KIND, DIGEST, b"code"))
    sealed[at] ^= 1
    assert unseal(KEY, KIND, DIGEST, bytes(sealed)) is None


def test_another_key_kind_or_module_is_refused():
    sealed = seal(KEY, KIND, DIGEST, b"code")
    assert unseal(bytes(32), KIND, DIGEST, sealed) is None
    assert unseal(KEY, KIND + "x", DIGEST, sealed) is None
    assert unseal(KEY, KIND, b"e" * 32, sealed) is None
    assert unseal(KEY, KIND, DIGEST, b"") is None
    # A boundary moved between kind and digest must not give the same MAC.
    assert unseal(KEY, KIND + "d", DIGEST[1:], sealed) is None


def test_a_key_of_another_size_is_a_bug():
    with pytest.raises(ValueError, match="32 bytes"):
        seal(b"short", KIND, DIGEST, b"code")


def test_store_keeps_and_finds_with_private_modes(tmp_path):
    store = ArtefactStore(tmp_path / "aot", KEY)
    assert store.read(DIGEST, KIND) is None
    assert store.write(DIGEST, KIND, b"code" * 100)
    assert store.read(DIGEST, KIND) == b"code" * 100
    assert store.read(DIGEST, "another kind") is None
    (file,) = (tmp_path / "aot").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "aot").stat().st_mode & 0o777 == 0o700


def test_a_tampered_file_is_removed(tmp_path):
    store = ArtefactStore(tmp_path / "aot", KEY)
    store.write(DIGEST, KIND, b"code" * 100)
    (file,) = (tmp_path / "aot").iterdir()
    data = bytearray(file.read_bytes())
    data[200] ^= 0x80
    file.write_bytes(data)
    assert store.read(DIGEST, KIND) is None
    assert not file.exists()


def test_a_link_is_not_followed(tmp_path):
    store = ArtefactStore(tmp_path / "aot", KEY)
    store.write(DIGEST, KIND, b"code")
    (file,) = (tmp_path / "aot").iterdir()
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert store.read(DIGEST, KIND) is None


def test_a_folder_that_others_can_write_to_is_refused(tmp_path):
    folder = tmp_path / "aot"
    folder.mkdir()
    os.chmod(folder, 0o777)
    with pytest.raises(WorldError, match="only its owner"):
        ArtefactStore(folder, KEY)


def test_the_store_is_bounded_and_forgets_the_oldest(tmp_path):
    store = ArtefactStore(tmp_path / "aot", KEY, bytes_max=1000)
    for number in range(5):
        assert store.write(bytes([number]) * 32, KIND, b"x" * 300)
        path = store._path(bytes([number]) * 32, KIND)
        os.utime(path, (number, number))
    held = [number for number in range(5) if store.read(bytes([number]) * 32, KIND)]
    assert held == [2, 3, 4]
    assert not store.write(DIGEST, KIND, b"x" * 2000)
