"""Write docs/status.md from src/quorate/api/status.toml, the source that `quorate doctor` reads as well.

`python docs/generate_status.py` writes the page; `--check` only says whether it is up to date.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from quorate.api.status import Feature, State, load_features

PAGE = Path(__file__).resolve().parent / "status.md"
TITLES = {
    "A": "Contracts, delegation and privacy tiers",
    "B": "Bytecode and WASM machines",
    "C": "Jobs, market, proofs and identity",
    "D": "The private quorum job",
    "E": "Clauses, policy, audit and doors",
}
INTRODUCTION = """# Status

One row for each promised feature. *Works* means that the named tests pass, at least one of them showing a refusal.
*Partial* means that the tests show what does, and the note says what does not. *Absent* means that there is nothing
yet, or a refusal by decision; the note says which.

The kind says how real a feature can be without special hardware: *real*; *small*, real at a small scale that is
printed; *checked*, the checking half is real and the producing half simulated; *simulated*, labelled so and refused
unless a job allows it by name; *refused* with a reason, behind the same interface; *document*, a document or a process.

Written from `src/quorate/api/status.toml` by `make docs`; `quorate doctor` reads the same source.
"""


def counts(features: Iterable[Feature]) -> str:
    """`3 works, 1 partial, 351 absent`."""
    by_state = Counter(feature.state for feature in features)
    return ", ".join(f"{by_state[state]} {state}" for state in State)


def row(feature: Feature) -> str:
    """One line of the table: the tests, and the note where there is one."""
    evidence = [f"`{test}`" for test in feature.tests] + ([feature.note] if feature.note else [])
    cells = [feature.id, feature.feature, feature.state, feature.kind, "<br>".join(evidence)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def family(feature: Feature) -> str:
    """The letter of the id: A for S-A12."""
    return feature.id.removeprefix("S-")[0]


def page(features: Sequence[Feature]) -> str:
    """The whole page."""
    lines = [INTRODUCTION, f"{len(features)} features: {counts(features)}."]
    for letter, members in groupby(features, key=family):
        rows = list(members)
        lines += ["", f"## {letter}. {TITLES[letter]}", "", f"{counts(rows)}.", ""]
        lines += [
            "| id | feature | state | kind | test or reason |",
            "| --- | --- | --- | --- | --- |",
            *map(row, rows),
        ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` compare it."""
    text = page(load_features())
    if "--check" in arguments:
        fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        print(f"status: {PAGE.name} is {'up to date' if fresh else 'out of date; run make docs'}")
        return 0 if fresh else 1
    PAGE.write_text(text, encoding="utf-8")
    print(f"status: wrote {PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
