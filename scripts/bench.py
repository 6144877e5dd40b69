"""Run every script in `bench/` and write `bench/RESULTS.md`.

A bench script is a program `bench/<name>.py` that prints one JSON object as the last line of its standard
output: `figures` (name to number or text), `machine` (facts of the machine) and `peers` (package to version),
and whatever else it wants to keep. Each runs alone, in the order of its name, in a process of its own. A script
that fails or prints something else is listed as failed and makes this program fail; the others still run.
Names given as arguments choose scripts; the page is written only when all run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
SCRIPT_SECONDS_MAX = 1800
INTRODUCTION = """# Results

Written by `make bench`; one section for each script in `bench/`. Figures hold for the machine that is named with them.
"""


class Outcome(NamedTuple):
    """What one script gave: its JSON object, or the reason for none."""

    name: str
    seconds: float
    report: dict[str, Any]
    fault: str


def read_report(output: str) -> dict[str, Any]:
    """The JSON object on the last line of `output`. Raises ValueError when there is none."""
    lines = output.strip().splitlines()
    report = json.loads(lines[-1]) if lines else None
    if not isinstance(report, dict) or not isinstance(report.get("figures"), dict):
        raise ValueError("its last line is no JSON object with figures")
    return report


def run_script(script: Path) -> Outcome:
    """Run one script and read what it printed."""
    started = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=SCRIPT_SECONDS_MAX,
            check=True,
        )
        return Outcome(script.stem, time.monotonic() - started, read_report(done.stdout), "")
    except subprocess.TimeoutExpired:
        fault = f"no end after {SCRIPT_SECONDS_MAX} s"
    except subprocess.CalledProcessError as error:
        words = (error.stderr or "").strip().splitlines()
        fault = f"exit code {error.returncode}: {words[-1] if words else 'no message'}"
    except ValueError as error:
        fault = str(error)
    return Outcome(script.stem, time.monotonic() - started, {}, fault)


def cell(value: object) -> str:
    """One value as the content of a table cell."""
    text = f"{value:.6g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    return text.replace("|", "\\|").replace("\n", " ")


def section(outcome: Outcome) -> str:
    """One outcome in Markdown: a table for each part of the report."""
    lines = [f"## {outcome.name}", ""]
    if outcome.fault:
        return "\n".join([*lines, f"Failed: {outcome.fault}.", ""])
    for part, content in outcome.report.items():
        if isinstance(content, dict):
            lines += [
                f"| {part} | |",
                "| --- | --- |",
                *(f"| {cell(key)} | {cell(content[key])} |" for key in content),
                "",
            ]
        else:
            lines += [f"{part}: {cell(content)}", ""]
    return "\n".join(lines)


def chosen_scripts(names: list[str]) -> list[Path]:
    """The scripts to run; a name that is none of them ends the program."""
    scripts = {path.stem: path for path in sorted(BENCH.glob("*.py")) if not path.stem.startswith("_")}
    if not scripts:
        raise SystemExit("bench: there is no script in bench/")
    if unknown := [name for name in names if name not in scripts]:
        raise SystemExit(f"bench: no script {', '.join(unknown)} in bench/; there are: {', '.join(scripts)}")
    return [scripts[name] for name in names] if names else list(scripts.values())


def main(arguments: list[str]) -> int:
    """Run the scripts; all of them when no name is given, and only then is the page written."""
    outcomes = []
    for script in chosen_scripts(arguments):
        print(f"bench: {script.stem}", flush=True)
        outcomes.append(run_script(script))
        print(section(outcomes[-1]), flush=True)
    if not arguments:
        (BENCH / "RESULTS.md").write_text("\n".join([INTRODUCTION, *map(section, outcomes)]))
    return 1 if any(outcome.fault for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
