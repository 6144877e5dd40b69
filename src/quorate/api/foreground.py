"""What the command in the foreground is about, so that an interruption can say what becomes of it.

One process runs one command; this is that command's one note.
"""

from __future__ import annotations

NOTHING_DONE = "interrupted; nothing was changed"
_farewell = NOTHING_DONE


def on_interruption(text: str) -> None:
    """From here on an interrupted command leaves this behind."""
    global _farewell
    _farewell = text


def follow(job: str) -> None:
    """From here on there is a job (its id in hexadecimal), and it outlives the command."""
    name = job[:12]
    on_interruption(
        f"interrupted; the job goes on: quorate compute status {name} (or stop it: quorate compute cancel {name})"
    )


def farewell() -> str:
    """What the user is told when the command is interrupted."""
    return _farewell
