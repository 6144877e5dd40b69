"""Where the shipped examples are: in the installed package, or in the checkout that an editable install points to."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from quorate.errors import UnreadableFile

CHECKOUT = Path(__file__).resolve().parents[3]


def example(folder: str, name: str) -> Path:
    """The path of one example file. Raises UnreadableFile when this installation has none."""
    places = [Path(str(files("quorate")))]
    if (CHECKOUT / "pyproject.toml").is_file():
        places.append(CHECKOUT)
    for place in places:
        path = place / "examples" / folder / name
        if path.is_file():
            return path
    raise UnreadableFile(f"{folder}/{name} is not installed", field="examples", fix="install quorate again")
