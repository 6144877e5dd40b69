"""Writes the vector files: `python -m tests.support.bytecode_vectors`."""

from __future__ import annotations

from tests.support.bytecode_vectors.files import FILES, text_of
from tests.support.bytecode_vectors.form import FOLDER

for name in FILES:
    (FOLDER / f"{name}.json").write_text(text_of(name))
