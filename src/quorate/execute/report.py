"""What this machine really offers for running untrusted programs: the source of `quorate doctor`."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

from quorate.execute import jail


def machine_report() -> dict[str, Any]:
    """Plain values, fit for JSON. A layer is `real` (with its detail) or `absent`; nothing here is simulated."""
    offered = jail.layers()
    lacking = jail.missing(offered) if jail.machine_name() else ["Linux on x86-64 or aarch64"]
    return {
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "python_supported": sys.version_info >= (3, 11),
        "libc": " ".join(platform.libc_ver()).strip() or "unknown (musl is untested)",
        "user": os.geteuid() if hasattr(os, "geteuid") else -1,
        "cores": os.cpu_count() or 1,
        "wasmtime": _wasmtime(),
        "layers": {
            name: {"state": "real", "detail": offered[name]} if name in offered else {"state": "absent", "detail": ""}
            for name in jail.LAYERS
        },
        "minimum": list(jail.MINIMUM_DEFAULT),
        "missing": lacking,
        "can_execute": not lacking,
    }


def _wasmtime() -> dict[str, str]:
    try:
        from quorate.execute.wasm.wasmtime_engine import engine_version, layout_name, wasmtime_version
    except (ImportError, OSError) as fault:
        return {"state": "absent", "detail": str(fault)[:200]}
    return {
        "state": "real",
        "detail": wasmtime_version(),
        "engine_version": engine_version(),
        "memory_layout": layout_name(),
    }
