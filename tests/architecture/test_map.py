"""README, ARCHITECTURE and the package docstring list the parts of the code in the order of the import contract."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from tests.support.repository import ROOT, SOURCE

import quorate

# Lower parts come first, as a reader meets them: what stands alone, then the path of a job, then the shell around it.
ORDER = [
    "errors", "ports", "model", "crypto", "execute", "privacy", "market", "cohort", "verify", "ledger", "jobs",
    "clauses", "audit", "adapters", "node", "api",
]  # fmt: skip
ENTRY = re.compile(r"^[\s│├└─|*`-]*(?:quorate/)?([a-z_]+)(?:/|\.py)`?(?:\s|$)")
ENTRIES_IN_A_MAP_MIN = 5


def entries(text: str) -> list[str]:
    """The parts that lines of the text begin with, as a tree or a list shows them, each at its first place."""
    found = [match.group(1) for line in text.splitlines() if (match := ENTRY.match(line))]
    return list(dict.fromkeys(name for name in found if name in ORDER))


def faults(text: str, present: set[str]) -> list[str]:
    """What is wrong with the map in `text`, given the parts that exist. A text without a map has no faults."""
    listed = entries(text)
    if len(listed) < ENTRIES_IN_A_MAP_MIN:
        return []
    missing = [f"missing: {name}" for name in ORDER if name in present and name not in listed]
    expected = [name for name in ORDER if name in listed]
    return missing + ([] if listed == expected else [f"order: {', '.join(listed)}"])


def parts_present() -> set[str]:
    paths = [path for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    return {path.stem for path in paths if not path.stem.startswith("_")}


def tree(names: list[str]) -> str:
    return "\n".join(f"  {name}/   what it does" for name in names)


def test_a_wrong_map_is_noticed() -> None:
    present = set(ORDER)
    assert faults(tree(ORDER), present) == []
    assert faults(tree([*ORDER[1:], ORDER[0]]), present) != []
    assert faults(tree(ORDER[:-1]), present) == ["missing: api"]
    assert faults("no map here", present) == []
    text = "├── model/     nouns\n- `crypto/` names\nports.py  the world\nsee model/ for more"
    assert entries(text) == ["model", "crypto", "ports"]


def test_every_part_has_its_place() -> None:
    assert parts_present() - set(ORDER) == set()


def test_the_order_is_that_of_the_import_contract() -> None:
    contract = configparser.ConfigParser()
    contract.read(ROOT / ".importlinter")
    layers = contract["importlinter:contract:layers"]["layers"].split("\n")
    ranks = {name: rank for rank, layer in enumerate(layers) for name in re.findall(r"\b[a-z]\w*", layer)}
    assert set(ranks) == set(ORDER)
    # ports stands beside crypto and is read before it; adapters stand above the stations they serve
    upward = [name for name in ORDER if name not in {"ports"}]
    assert [ranks[name] for name in upward] == sorted((ranks[name] for name in upward), reverse=True)


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "src/quorate/__init__.py"])
def test_maps_agree(name: str) -> None:
    path = Path(ROOT / name)
    text = (quorate.__doc__ or "") if path.suffix == ".py" else path.read_text() if path.exists() else ""
    assert faults(text, parts_present()) == []
