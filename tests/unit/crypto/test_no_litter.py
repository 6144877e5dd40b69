"""Libraries are loaded without leaving files behind: rbcl writes its libsodium to a temporary file at every import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_importing_leaves_nothing_in_the_folder_for_temporary_files(tmp_path: Path) -> None:
    program = "from quorate.crypto import ristretto as r; print(r.hash_to_point('test', b'x') != r.IDENTITY)"
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=env)
    assert (done.stdout, done.stderr) == ("True\n", "")
    assert list(tmp_path.iterdir()) == []
