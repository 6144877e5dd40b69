"""One table: every class of `quorate.errors` -> exit code of the command line and HTTP status of the door.

Errors cross the door as problem details (RFC 9457, `application/problem+json`); the client raises the same class again.

Exit codes, in bands that say who is at fault:

     0       done                                20-49   the caller can mend it
     2       wrong usage of the command line     50-59   the job ended without a result
    10-12    outcomes of `quorate verify`        60-69   disk, network, clock, another process; also 71-79
    70       a fault of this program             80-89   another party broke a rule
   130       interrupted by the user

A code is never given to another class; the code of a class that goes stays reserved.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from quorate import errors
from quorate.errors import PeerError, QuorateError

OK: Final = 0
USAGE: Final = 2
VALID_SIMULATED: Final = 10
UNAUTHENTICATED: Final = 11
INVALID: Final = 12
INTERRUPTED: Final = 130
INTERNAL: Final = 70

MEDIA_TYPE: Final = "application/problem+json"


class Row(NamedTuple):
    """What a class of errors becomes at the doors."""

    exit_code: int
    status: int


TABLE: Final[dict[type[QuorateError], Row]] = {
    errors.UserError: Row(20, 400),
    errors.UnreadableFile: Row(21, 400),
    errors.NotWasm: Row(22, 422),
    errors.MalformedModule: Row(23, 422),
    errors.ForbiddenImport: Row(24, 422),
    errors.MissingEntry: Row(25, 422),
    errors.TooLarge: Row(26, 413),
    errors.AboveCap: Row(27, 422),
    errors.ContradictoryOptions: Row(28, 422),
    errors.InvalidField: Row(29, 422),
    errors.UnknownJob: Row(30, 404),
    errors.WrongKey: Row(31, 403),
    errors.MissingKey: Row(32, 403),
    errors.NotFinished: Row(33, 409),
    errors.IdempotencyConflict: Row(34, 409),
    errors.CohortTooLarge: Row(35, 422),
    errors.UnaffordableJob: Row(36, 402),
    errors.PolicyRefused: Row(37, 403),
    errors.UnknownBlob: Row(38, 404),
    errors.MissingDependency: Row(39, 422),
    errors.UnusedDependency: Row(40, 422),
    errors.DependencyCycle: Row(41, 422),
    errors.UnlinkedImport: Row(42, 422),
    errors.UnknownContract: Row(43, 404),
    errors.FailedTests: Row(44, 422),
    errors.BadContract: Row(45, 422),
    errors.UnknownFunction: Row(46, 404),
    errors.WrongArguments: Row(47, 422),
    errors.CompileError: Row(48, 422),
    errors.JobError: Row(50, 410),
    errors.JobFailed: Row(51, 410),
    errors.JobRejected: Row(52, 410),
    errors.JobCancelled: Row(53, 410),
    errors.MatchTimeout: Row(54, 410),
    errors.TransferTimeout: Row(55, 410),
    errors.RunTimeout: Row(56, 410),
    errors.VerifyTimeout: Row(57, 410),
    errors.StateConflict: Row(58, 409),
    errors.TransferRefused: Row(59, 409),
    errors.WorldError: Row(60, 503),
    errors.NoNetwork: Row(61, 503),
    errors.NetworkRunning: Row(62, 503),
    errors.PortTaken: Row(63, 503),
    errors.ClockSkew: Row(64, 503),
    errors.DiskFull: Row(65, 507),
    errors.Interrupted: Row(66, 503),
    errors.PathTooLong: Row(67, 503),
    errors.UnsupportedMachine: Row(68, 501),
    errors.StateUnresolved: Row(71, 503),
    errors.MissingExtra: Row(69, 501),
    errors.QuorateError: Row(INTERNAL, 500),
    errors.PeerError: Row(80, 422),
    errors.MalformedBytes: Row(81, 400),
    errors.BadSignature: Row(82, 422),
    errors.BadCommitment: Row(83, 422),
    errors.BadSeal: Row(84, 422),
}

_BY_NAME: Final = {kind.__name__: kind for kind in TABLE}


class Problem(msgspec.Struct, frozen=True):
    """Problem details. `title` is the name of the class; `detail` is its message alone, without field, limit and
    fix."""

    type: str
    title: str
    status: int
    detail: str
    field: str = ""
    limit: str = ""
    fix: str = ""
    extra: str = ""


def row_of(error: BaseException) -> Row:
    """The row of the nearest listed class. What is no QuorateError is a fault of this program."""
    return next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), TABLE[QuorateError])


def exit_code(error: BaseException) -> int:
    return row_of(error).exit_code


def problem_of(error: BaseException) -> Problem:
    """`error` as problem details. Of an unexpected exception nothing is shown: its message may quote a secret."""
    if not isinstance(error, QuorateError):
        error = QuorateError("the node failed inside", fix="see the node's log, then report it")
    kind = next(kind for kind in type(error).__mro__ if kind in TABLE)
    return Problem(
        type=f"/v1/problems#{kind.__name__}",
        title=kind.__name__,
        status=TABLE[kind].status,
        detail=error.message,
        field=error.field,
        limit=error.limit,
        fix=error.fix,
        extra=getattr(error, "extra", ""),
    )


def error_named(name: str, detail: str, *, field: str = "", limit: str = "", fix: str = "") -> QuorateError:
    """An error by the name of its class, as job states and problems carry it. An unknown name is a fault of the other
    side."""
    kind = _BY_NAME.get(name, QuorateError)
    error: QuorateError = kind.__new__(kind)
    QuorateError.__init__(error, detail, field=field, limit=limit, fix=fix)
    if isinstance(error, PeerError):
        error.evidence = b""
    return error


def error_of(body: bytes, status: int) -> QuorateError:
    """The error that an answer of the door stands for, whatever its body is."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        return QuorateError(
            f"the door answered with status {status}", fix="check that client and node are of one version"
        )
    error = error_named(problem.title, problem.detail, field=problem.field, limit=problem.limit, fix=problem.fix)
    if isinstance(error, errors.MissingExtra):
        error.extra = problem.extra
    return error


def listing() -> list[dict[str, Any]]:
    """The table as data, for the door and the docs."""
    rows = sorted(TABLE.items(), key=lambda item: item[1].exit_code)
    return [{"title": kind.__name__, "status": row.status, "exit_code": row.exit_code} for kind, row in rows]
