"""Make `.venv` and install the locked packages and this checkout into it. Standard library only.

Called by `scripts/setup`, which has found a fitting Python. Three levels, each holding the one before it:
`base` (what `quorate` needs), `dev` (tests and checks), `guests` (the compilers that rebuild the example
guests). Every file that is installed has its hash in a lock file. A stamp in `.venv` records what was
installed from which files, so that a second run does nothing; it is written last, so that an interrupted run
is simply repeated. What goes wrong is said in one line; pip's own words are in `.venv/setup.log`.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "quorate-setup.json"
LOG = VENV / "setup.log"
LEVELS = {
    "base": ["requirements.lock"],
    "dev": ["requirements-dev.lock"],
    "guests": ["requirements-dev.lock", "requirements-guests.lock"],
}
PYTHON_MIN = (3, 11)
PIP_PYTHON_OPTION = (22, 3)  # the first pip that can install into another environment
APT_ADVICE = "on Debian or Ubuntu: apt-get install python3-venv"
PIP_SETTINGS_IN_THE_WAY = {"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV"}
CAUSES = (  # what pip says, and what it means; the first match wins
    ("No space left on device", "the disk is full"),
    ("DO NOT MATCH THE HASHES", "a downloaded file does not match its hash in the lock file"),
    ("Temporary failure in name resolution", "there is no network"),
    ("Name or service not known", "there is no network"),
    ("Network is unreachable", "there is no network"),
    ("NewConnectionError", "the package index cannot be reached"),
    ("ConnectTimeoutError", "the package index cannot be reached"),
    ("ReadTimeoutError", "the package index is too slow"),
    ("ProxyError", "the proxy does not let pip through"),
    ("SSLError", "the certificate of the package index is not trusted"),
    ("Permission denied", "a file cannot be written"),
    ("No matching distribution found", "a package has no ready-made file for this machine and Python"),
)


class SetupError(Exception):
    """Setup cannot go on; the text is the one line for the user."""


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def complain(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)


def is_musl() -> bool:
    """Whether the C library is musl: glibc answers this query, musl does not."""
    if sys.platform != "linux":
        return False
    try:
        return "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (ValueError, OSError):
        return True


def check_machine() -> None:
    """Say what is not available on this kind of machine; refuse where the locked packages do not exist."""
    if sys.implementation.name != "cpython":
        raise SetupError(f"CPython is needed; this is {platform.python_implementation()}")
    if is_musl():
        raise SetupError("musl: eclipse-zenoh (the mesh) has no package for it; use a glibc system, such as Debian")
    if sys.platform == "darwin":
        if platform.machine() != "arm64":
            raise SetupError("macOS on Intel: cryptography has no package for it; use Apple silicon or Linux")
        say("macOS is untested; without Landlock and seccomp there is no provider and no demo here, only the client")
    elif sys.platform != "linux":
        raise SetupError(f"{sys.platform} is not supported; on Windows use WSL 2")


def host_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def version_of(python: Path) -> str:
    """`3.11` for a Python that runs, nothing otherwise."""
    try:
        command = [str(python), "-c", "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"]
        return str(subprocess.run(command, capture_output=True, text=True, check=False).stdout).strip()
    except OSError:
        return ""


def keeps_environment() -> bool:
    """Whether the present `.venv` can stay: it runs, was made in this place, and PYTHON asks for no other version."""
    version = version_of(VENV / "bin" / "python")
    if not version or tuple(int(part) for part in version.split(".")) < PYTHON_MIN:
        return False
    if "PYTHON" in os.environ and version != host_version():
        return False
    return read_stamp().get("place", str(ROOT)) == str(ROOT)


def digest_of_inputs(level: str) -> str:
    """What an installation depends on: the lock files, pyproject.toml, this program and the Python in `.venv`."""
    digest = hashlib.sha256()
    for name in ["pyproject.toml", "scripts/bootstrap.py", *LEVELS[level]]:
        digest.update((ROOT / name).read_bytes())
    digest.update(version_of(VENV / "bin" / "python").encode())
    return digest.hexdigest()


def read_stamp() -> dict[str, str]:
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def is_done(level: str) -> bool:
    """Whether this level, or one that holds it, is installed from the present files."""
    if not (VENV / "bin" / "quorate").exists() or not keeps_environment():
        return False
    stamp, order = read_stamp(), list(LEVELS)
    return any(stamp.get(higher) == digest_of_inputs(higher) for higher in order[order.index(level) :])


def runs(program: Path, *arguments: str) -> bool:
    try:
        return subprocess.run([program, *arguments], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def is_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def host_pip_fits() -> bool:
    """Whether this Python has a pip of its own that can install into the new environment."""
    if not is_module("pip"):
        return False
    answer = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, text=True, check=False)
    words = answer.stdout.split()
    try:
        numbers = tuple(int(part) for part in words[1].split(".")[:2])
    except (IndexError, ValueError):
        return False
    return numbers >= PIP_PYTHON_OPTION


def make_environment() -> list[str]:
    """Make `.venv` if it is missing or does not fit. Returns the command that runs pip for it."""
    python = VENV / "bin" / "python"
    its_own_pip = [str(python), "-m", "pip"]
    keep = keeps_environment()
    if keep and runs(python, "-m", "pip", "--version"):
        return its_own_pip
    if not is_module("venv"):
        raise SetupError(f"this Python has no venv module; {APT_ADVICE}")
    has_ensurepip = is_module("ensurepip")
    if not has_ensurepip and not host_pip_fits():
        raise SetupError(f"this Python cannot make a virtual environment with pip; {APT_ADVICE}")
    if not keep or has_ensurepip:
        import venv  # looked for above: Debian ships Python without it

        say(f"making .venv with Python {platform.python_version()}")
        try:
            venv.create(VENV, with_pip=has_ensurepip, clear=True, symlinks=True)
        except subprocess.CalledProcessError:
            raise SetupError(f"this Python cannot make a virtual environment; {APT_ADVICE}") from None
    return its_own_pip if has_ensurepip else [sys.executable, "-m", "pip", "--python", str(python)]


def pip_environment() -> dict[str, str]:
    """The caller's environment without what would send packages elsewhere than into `.venv`."""
    kept = {name: value for name, value in os.environ.items() if name not in PIP_SETTINGS_IN_THE_WAY}
    return kept | {"PIP_USER": "no", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


def run_quietly(command: list[str], log: IO[str], what: str) -> int:
    """Run `command`, its words going to `log`; a terminal sees how long it has been going on."""
    say(what)
    started = time.monotonic()
    with subprocess.Popen(command, stdout=log, stderr=log, env=pip_environment(), cwd=ROOT) as process:
        while True:
            try:
                return process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                if sys.stdout.isatty():
                    print(f"  {time.monotonic() - started:.0f} s", end="\r", flush=True)


def install(pip: list[str], what: str, *arguments: str) -> None:
    """Run `pip install`; its failure becomes one line."""
    command = [*pip, "install", "--retries", "2", *arguments]
    with LOG.open("w+") as log:
        code = run_quietly(command, log, what)
        log.seek(0)
        words = log.read()
    if code != 0:
        cause = next((meaning for sign, meaning in CAUSES if sign in words), "pip failed")
        raise SetupError(f"{cause}; pip's own words are in .venv/{LOG.name}")


def set_up(level: str) -> None:
    """Install `level`, unless it is there already."""
    if is_done(level):
        return
    check_machine()
    started = time.monotonic()
    pip = make_environment()
    STAMP.unlink(missing_ok=True)
    for name in LEVELS[level]:
        count = sum("==" in line for line in (ROOT / name).read_text().splitlines())
        what = f"installing {count} packages from {name}"
        install(pip, what, "--require-hashes", "--only-binary", ":all:", "--requirement", name)
    install(pip, "installing quorate", "--no-deps", "--no-build-isolation", "--editable", ".")
    STAMP.write_text(json.dumps({"place": str(ROOT), level: digest_of_inputs(level)}))
    say(f"done in {time.monotonic() - started:.0f} s; the command is .venv/bin/quorate")


def main(arguments: list[str]) -> int:
    level = arguments[0] if arguments else "base"
    if level not in LEVELS:
        complain(f"unknown level {level}; one of {', '.join(LEVELS)}")
        return 2
    try:
        with (ROOT / "pyproject.toml").open() as turnstile:  # two runs at once take turns; nothing is left behind
            fcntl.flock(turnstile, fcntl.LOCK_EX)
            set_up(level)
    except SetupError as error:
        complain(str(error))
        return 1
    except PermissionError as error:
        complain(f"{error.filename} cannot be written; use a copy of this folder that you own")
        return 1
    except OSError as error:
        complain(f"{error.strerror or error}: {error.filename or ROOT}")
        return 1
    except KeyboardInterrupt:
        complain("interrupted; run it again to go on")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
