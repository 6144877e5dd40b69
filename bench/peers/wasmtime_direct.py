"""wasmtime called directly with the engine's own switches: the limit of `wasm_overhead.py`. Runs in Quorate's own
environment: `python wasmtime_direct.py ARTEFACT FUEL`.

Reads a line for each run and answers it with the processor time in seconds and the value that came out. The module is
loaded once, from compiled code; each run has a fresh store, as in a worker. Nothing of Quorate takes part but the
table of switches.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import wasmtime

from quorate.execute.wasm.wasmtime_engine import HOST_SETTINGS, SETTINGS


def main(artefact: Path, fuel: int) -> None:
    config = wasmtime.Config()
    for name, value in {**SETTINGS, **HOST_SETTINGS}.items():
        setattr(config, name, value)
    engine = wasmtime.Engine(config)
    module = wasmtime.Module.deserialize(engine, artefact.read_bytes())
    for _ in sys.stdin:
        began = time.process_time()
        store = wasmtime.Store(engine)
        store.set_fuel(fuel)
        exports: Any = wasmtime.Instance(store, module, []).exports(store)
        value = exports["run"](store)
        print(json.dumps({"cpu_s": time.process_time() - began, "value": value}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
