"""The systems that Quorate is measured beside: installed into an environment of their own and run one at a time.

`peers.lock` pins every package by hash and names no address. The environment lies in `build/bench-peers`, so that
`make clean` removes it. What cannot be installed or run is left out with its reason; the other figures are still
printed. `python bench/_peers.py --lock` resolves the versions again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any, NamedTuple

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
LOCK = BENCH / "peers.lock"
PEERS = ROOT / "build" / "bench-peers"
STAMP = PEERS / "bench.json"
WANTED = ("ray", "dbos", "celery[redis]", "dask[distributed]", "pyrevm")
SHOWN = ("dbos", "sqlalchemy", "ray", "celery", "redis", "dask", "distributed", "pyrevm")
HEADER = "# Written by `python bench/_peers.py --lock`. Do not edit.\n"
INSTALL_S_MAX, RUN_S_MAX = 900, 300


class Missing(Exception):
    """A peer cannot be measured here; the text is the one line that says why."""


class Peers(NamedTuple):
    """The peers' interpreter and their versions."""

    python: Path
    versions: dict[str, str]

    def run(self, script: str, jobs: int, *words: str) -> dict[str, float]:
        """The figures of `bench/peers/<script>.py`, which gets a folder of its own on the same disk as our stores, and
        the words."""
        PEERS.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="p", ignore_cleanup_errors=True) as folder:
            command = [str(self.python), str(BENCH / "peers" / f"{script}.py"), str(jobs), folder, *words]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S_MAX, check=False)
            except subprocess.TimeoutExpired:
                raise Missing(f"{script}: no end after {RUN_S_MAX} s") from None
        if done.returncode != 0:
            words = done.stderr.strip().splitlines()
            raise Missing(f"{script}: {words[-1] if words else f'exit code {done.returncode}'}")
        figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
        return figures


def installed() -> Peers:
    """The peers, installed first if they are not there. Raises Missing."""
    PEERS.parent.mkdir(exist_ok=True)
    with LOCK.open() as turnstile:  # two runs at once take turns
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        wanted = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
        found = json.loads(STAMP.read_text()) if STAMP.exists() else {}
        if found.get("inputs") != wanted:
            _install()
            STAMP.write_text(json.dumps({"inputs": wanted, "versions": _versions()}))
            found = json.loads(STAMP.read_text())
    versions = dict(found["versions"])
    if (redis := shutil.which("redis-server")) is not None:
        words = subprocess.run([redis, "--version"], capture_output=True, text=True, check=False).stdout.split()
        versions["redis-server"] = next((word[2:] for word in words if word.startswith("v=")), "unknown")
    return Peers(PEERS / "bin" / "python", versions)


def _install() -> None:
    print("bench: installing the peers into build/bench-peers", file=sys.stderr, flush=True)
    try:
        venv.create(PEERS, with_pip=True, clear=True)
        pip = [str(PEERS / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        options = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(LOCK)]
        subprocess.run([*pip, *options], capture_output=True, text=True, timeout=INSTALL_S_MAX, check=True)
    except subprocess.TimeoutExpired:
        raise Missing(f"the peers were not installed within {INSTALL_S_MAX} s") from None
    except subprocess.CalledProcessError as fault:
        words = str(fault.stderr or "pip failed").strip().splitlines()
        raise Missing(f"the peers cannot be installed: {words[-1]}") from None


def _versions() -> dict[str, str]:
    program = "import json, sys, importlib.metadata as m; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    done = subprocess.run([PEERS / "bin" / "python", "-c", program, *SHOWN], capture_output=True, text=True, check=True)
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def write_lock() -> None:
    """Resolves `WANTED` for every system and Python version, with the resolver that `make lock` uses."""
    sys.path.insert(0, str(ROOT / "scripts"))
    import lock  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as folder:
        uv = lock.resolver(Path(folder) / "venv")
        command: list[Any] = [uv, "pip", "compile", "-", "--python-version", lock.PYTHON_MIN, *lock.OPTIONS]
        subprocess.run([*command, "--output-file", LOCK], input="\n".join(WANTED), text=True, check=True)
    text = LOCK.read_text()
    if "://" in text or "--index" in text:
        raise SystemExit("peers.lock names an address; it must not")
    LOCK.write_text(HEADER + text)


if __name__ == "__main__":
    if sys.argv[1:] != ["--lock"]:
        raise SystemExit("usage: python bench/_peers.py --lock")
    write_lock()
