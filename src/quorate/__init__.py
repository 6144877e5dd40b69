"""Run code on machines you do not trust; keep the data private; get a result anyone can check.

The parts, in the order in which a job passes them and a reader best meets them:

    errors.py     what can go wrong, each with field, limit and fix
    ports.py      the world as small interfaces
    model/        the nouns: frozen values with one byte form each
    crypto/       digests, signatures, sealing, commitments
    execute/      a program under hard limits, in a jailed process
    privacy/      how an input is opened for a run and its result sealed
    market/       Job -> Agreement
    cohort/       Agreement -> Assignment
    verify/       Claim -> Verdict
    ledger/       Verdict -> Settlement
    jobs/         the path itself, from admission to receipt
    adapters/     the world: SQLite, files, Zenoh
    node/         the shell around the machines
    api/          doors: command line, HTTP, Python

Names are loaded when they are first used, so that `import quorate` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quorate.api.builder import Draft, Job, ResourceLimits
    from quorate.api.client import Client, Quorate, aconnect, connect
    from quorate.api.results import Result
    from quorate.api.schemas import JobView
    from quorate.errors import JobError, PeerError, QuorateError, UserError, WorldError
    from quorate.model.outcome import Receipt
    from quorate.model.policy import Policy

__all__ = [
    "Client",
    "Draft",
    "Job",
    "JobError",
    "JobView",
    "PeerError",
    "Policy",
    "Quorate",
    "QuorateError",
    "Receipt",
    "ResourceLimits",
    "Result",
    "UserError",
    "WorldError",
    "aconnect",
    "connect",
]

_PLACES = {
    "Client": "quorate.api.client",
    "Draft": "quorate.api.builder",
    "Job": "quorate.api.builder",
    "JobError": "quorate.errors",
    "JobView": "quorate.api.schemas",
    "PeerError": "quorate.errors",
    "Policy": "quorate.model.policy",
    "Quorate": "quorate.api.client",
    "QuorateError": "quorate.errors",
    "Receipt": "quorate.model.outcome",
    "ResourceLimits": "quorate.api.builder",
    "Result": "quorate.api.results",
    "UserError": "quorate.errors",
    "WorldError": "quorate.errors",
    "aconnect": "quorate.api.client",
    "connect": "quorate.api.client",
}


def __getattr__(name: str) -> Any:
    """PEP 562: called for a name that is not here yet."""
    if name not in _PLACES:
        raise AttributeError(f"module 'quorate' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return __all__
