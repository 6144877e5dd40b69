"""`quorate doctor`: what is real, simulated or absent on this machine, and how far each promised feature is."""

from __future__ import annotations

import os
import platform
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from quorate import errors
from quorate.api import render
from quorate.api.cli_options import PLAIN, Output
from quorate.api.help_pages import epilogue
from quorate.api.problems import exit_code

TESTED_PYTHONS = ((3, 11), (3, 12), (3, 13))
LAYER_WORDS = {
    "unprivileged": "guests do not run as root",
    "no_new_privs": "no privileges can be gained",
    "not_dumpable": "no other process reads its memory",
    "parent_death": "dies with its parent",
    "rlimits": "memory, files and processor time limited",
    "landlock": "no file system",
    "seccomp": "few system calls",
}
PRIVACY = (
    ("none", "real", "everyone may see input and result"),
    ("sealed", "real", "only the executors drawn see them in plaintext"),
    ("split", "absent", "not built; a job that asks for it is refused"),
    ("shares", "absent", "not built; a job that asks for it is refused"),
    ("enclave", "absent", "not built; a job that asks for it is refused"),
)
PROOFS = (
    ("trust", "real", "one signed result; catches nothing by itself"),
    ("rerun", "real", "one in N again elsewhere; statistical"),
    ("quorum", "real", "K providers vote, seven in ten must agree"),
    ("spot", "absent", "not built"),
    ("stark", "absent", "not built"),
    ("attestation", "absent", "not built"),
)

app = App(
    name="doctor",
    help="What is real, simulated or absent on this machine.",
    help_epilogue=epilogue(
        "quorate doctor\nquorate doctor --all   # with every promised feature",
        errors.UnsupportedMachine,
        done="this machine can run jobs",
    ),
)


@app.default
def doctor(*, every: Annotated[bool, Parameter(name="--all")] = False, output: Output = PLAIN) -> int:
    """Say what is real, simulated or absent on this machine, and what is missing for running jobs here.

    Parameters
    ----------
    every
        List every promised feature with its state.
    """
    found = examine()
    if output.json:
        render.say_json(found)
    else:
        _print_machine(found)
        _print_dials()
        _print_features(found["features"], everything=every)
    error = _lacking(found)
    if error is None:
        return 0
    if output.json:
        return exit_code(error)
    raise error


def examine() -> dict[str, Any]:
    """The facts, plain enough for JSON."""
    from quorate.api.status import load_features
    from quorate.execute.report import machine_report
    from quorate.node.config import home_folder

    home = home_folder()
    rows = load_features()
    return {
        **machine_report(),
        "python_tested": sys.version_info[:2] in TESTED_PYTHONS,
        "platform_notes": platform_notes(),
        "home": str(home),
        "home_from": "QUORATE_HOME" if os.environ.get("QUORATE_HOME") else "XDG data folder",
        "network": (home / "network.cbor").exists(),
        "socket": socket_facts(home),
        "slots": slots(),
        "privacy": [{"tier": name, "state": state, "meaning": meaning} for name, state, meaning in PRIVACY],
        "proof": [{"method": name, "state": state, "meaning": meaning} for name, state, meaning in PROOFS],
        "simulated_parts": [],
        "features": [
            {"id": row.id, "state": row.state, "kind": row.kind, "feature": row.feature, "note": row.note}
            for row in rows
        ],
    }


def platform_notes() -> list[str]:
    """One plain line for each thing about the platform that a user should know."""
    notes = []
    if sys.version_info[:2] not in TESTED_PYTHONS:
        tested = ", ".join(".".join(map(str, version)) for version in TESTED_PYTHONS)
        notes.append(f"Python {platform.python_version()} is untested; tested are {tested}")
    if platform.system() == "Darwin":
        notes.append("macOS has neither Landlock nor seccomp: jobs can be submitted from here, none are run here")
    elif platform.system() != "Linux":
        notes.append(f"{platform.system()} is untested; jobs are run on Linux only")
    elif not platform.libc_ver()[0]:
        notes.append("musl or another C library that is not glibc: untested")
    return notes


def socket_facts(home: Path) -> dict[str, Any]:
    """Whether the door's Unix socket fits under this home (`sun_path` of the kernel holds 107 bytes)."""
    from quorate.api.commands import SOCKET_PATH_BYTES_MAX

    path = home / "node" / "door.sock"
    size = len(os.fsencode(path))
    return {"path": str(path), "bytes": size, "bytes_max": SOCKET_PATH_BYTES_MAX, "fits": size <= SOCKET_PATH_BYTES_MAX}


def slots() -> int:
    """How many guests a provider runs at once here: it follows the cores this process may use."""
    return max(1, min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))


def _print_machine(found: dict[str, Any]) -> None:
    engine = found["wasmtime"]
    socket = found["socket"]
    rows = [
        (
            "system",
            _state(found["can_execute"]),
            f"{found['system']}, {found['machine']}, {found['libc']}",
        ),
        ("Python", "real", f"{found['python']}, {'tested' if found['python_tested'] else 'untested'}"),
        ("WebAssembly engine", engine["state"], f"wasmtime {engine['detail']}"),
        ("cores", "real", f"{found['cores']}; a provider runs {render.plural(found['slots'], 'guest')} at once"),
        ("network", _state(found["network"]), f"{found['home']} ({found['home_from']})"),
        (
            "door",
            _state(socket["fits"]),
            f"socket path {socket['bytes']} of {socket['bytes_max']} bytes",
        ),
    ]
    render.title("Machine")
    render.say_table(("part", "state", "detail"), rows)
    render.title("Jail of a guest")
    layers = found["layers"].items()
    render.say_table(
        ("layer", "state", "detail", "what it does"),
        [(name, layer["state"], layer["detail"], LAYER_WORDS.get(name, "")) for name, layer in layers],
    )
    render.say(f"at least: {', '.join(item.replace('|', ' or ') for item in found['minimum'])}")
    for line in (*found["platform_notes"], *_socket_notes(socket)):
        render.note(f"note: {line}")


def _socket_notes(socket: dict[str, Any]) -> list[str]:
    if socket["fits"]:
        return []
    return [f"no network can start here: {socket['path']} is too long for a socket; choose a shorter QUORATE_HOME"]


def _state(there: bool) -> str:
    return "real" if there else "absent"


def _print_dials() -> None:
    render.title("Privacy")
    render.say_table(("tier", "state", "meaning"), PRIVACY)
    render.title("Proof")
    render.say_table(("method", "state", "meaning"), PROOFS)
    refused = "nothing on this machine; simulated parts of others are refused unless allowed by name"
    render.say_field("simulated", refused)


def _print_features(features: list[dict[str, Any]], *, everything: bool) -> None:
    counts = Counter(str(row["state"]) for row in features)
    render.title("Promised features")
    shown = ", ".join(f"{counts[state]} {state}" for state in ("works", "partial", "absent"))
    rest = "" if everything else " (--all lists them)"
    render.say_filled(f"{render.plural(len(features), 'feature')}: {shown}{rest}")
    if everything:
        rows = [(row["id"], str(row["state"]), str(row["kind"]), row["feature"], row["note"]) for row in features]
        render.say_table(("id", "state", "can be", "feature", "note"), rows)


def _lacking(found: dict[str, Any]) -> errors.UnsupportedMachine | None:
    """What keeps this machine from running jobs, as the error that running one here would end with."""
    lacks = list(found["missing"])
    if found["wasmtime"]["state"] != "real":
        lacks.append("wasmtime")
    if not lacks:
        return None
    return errors.UnsupportedMachine(
        f"jobs cannot run here: {', '.join(lacks)} missing",
        field="doctor",
        fix="use Linux 5.13 or newer on x86-64 or aarch64; submitting from here still works",
    )
