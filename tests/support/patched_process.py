"""A process of a network with some constants of its own: for tests that have no half minute, or no week.

python patched_process.py quorate.jobs.forcing:FORCE_AFTER_MS=2000 FOLDER/config.json
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from quorate.api import process

ENTRY = str(Path(__file__))


def main() -> None:
    for change in sys.argv[1:-1]:
        place, value = change.split("=")
        module, name = place.split(":")
        setattr(importlib.import_module(module), name, int(value))
    sys.argv[1:] = sys.argv[-1:]
    process.main()


if __name__ == "__main__":
    main()
