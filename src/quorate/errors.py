"""The whole error tree. Who is at fault decides the branch.

    QuorateError
    ├── UserError             the caller can mend it: names the field, the limit and the fix
    │   ├── UnreadableFile        a file is missing or cannot be read
    │   ├── NotWasm               the bytes are not a WebAssembly module
    │   ├── MalformedModule       a WebAssembly module that does not validate
    │   ├── ForbiddenImport       an import that the profile does not grant
    │   ├── MissingEntry          the entry point is not exported
    │   ├── MissingDependency     a module is imported that is not among the program's dependencies
    │   ├── UnusedDependency      a dependency is listed that nothing imports
    │   ├── DependencyCycle       a module is said to depend on itself
    │   ├── UnlinkedImport        a dependency does not export what is imported from it
    │   ├── TooLarge              a byte size above its limit
    │   ├── AboveCap              a resource limit above the network's signed cap
    │   ├── ContradictoryOptions  two options that exclude each other
    │   ├── InvalidField          a field out of its domain, unknown or missing
    │   ├── BadContract           a contract's bytes are refused: `fault` names why, `at` the place in its code
    │   ├── CompileError          a contract's source leaves the subset of Python: names file, line and column
    │   ├── UnknownFunction       the contract has no callable function of that name
    │   ├── WrongArguments        arguments of another count, kind or size than the function declares
    │   ├── FailedTests           tests of a contract that failed
    │   ├── UnknownJob            no job of that id here
    │   ├── UnknownContract       no contract of that id on this ledger
    │   ├── UnknownBlob           no bytes of that digest here
    │   ├── WrongKey              the key does not open the result
    │   ├── MissingKey            no key for this job in the caller's files
    │   ├── NotFinished           the result is asked for before there is one
    │   ├── IdempotencyConflict   one client key, two different bodies
    │   ├── CohortTooLarge        more replicas than the roster has operators
    │   ├── UnaffordableJob       the balance or budget does not cover the escrow
    │   └── PolicyRefused         a policy forbids it (suite, ledger trust, simulated part)
    ├── PeerError             another party broke a rule; `evidence` holds the bytes that show it
    │   ├── MalformedBytes        not the one canonical form, over size, wrong version, unknown field
    │   ├── BadSignature          a signature, path or key that does not verify
    │   ├── BadCommitment         an opening that does not match its commitment
    │   └── BadSeal               a ciphertext that does not open or is not committed to its key
    ├── JobError              the job ended without a result; the receipt says why
    │   ├── JobFailed  JobRejected  JobCancelled
    │   ├── StateConflict         another call was settled on the same head of a contract first
    │   ├── TransferRefused       a contract pays an id that no account has
    │   └── MatchTimeout  TransferTimeout  RunTimeout  VerifyTimeout
    ├── WorldError            disk, network, clock, another process; trying again may help
    │   ├── NoNetwork             no node answers under QUORATE_HOME
    │   ├── StateUnresolved       nobody who answers has a contract's program or state: try again
    │   ├── PortTaken  ClockSkew  DiskFull  NetworkRunning  Interrupted  PathTooLong
    │   └── UnsupportedMachine    the operating system lacks a layer that policy demands
    └── MissingExtra          an optional package is absent; names the extra (also an ImportError)

Exit codes and HTTP statuses of every class are in `quorate.api.problems`, one table.
Traps of guests and refusals of the ledger are values, not exceptions.
"""

from __future__ import annotations


class QuorateError(Exception):
    """Root. `str(error)` is one line; `field`, `limit` and `fix` are set where they make sense."""

    def __init__(self, message: str, *, field: str = "", limit: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.limit = limit
        self.fix = fix

    def __str__(self) -> str:
        parts = [f"{self.field}: {self.message}" if self.field else self.message]
        if self.limit:
            parts.append(f"limit: {self.limit}")
        if self.fix:
            parts.append(f"fix: {self.fix}")
        return "; ".join(" ".join(part.split()) for part in parts)


class UserError(QuorateError):
    """The caller can mend it."""


class UnreadableFile(UserError):
    pass


class NotWasm(UserError):
    pass


class MalformedModule(UserError):
    pass


class ForbiddenImport(UserError):
    pass


class MissingEntry(UserError):
    pass


class MissingDependency(UserError):
    pass


class UnusedDependency(UserError):
    pass


class DependencyCycle(UserError):
    pass


class UnlinkedImport(UserError):
    pass


class TooLarge(UserError):
    pass


class AboveCap(UserError):
    pass


class ContradictoryOptions(UserError):
    pass


class InvalidField(UserError):
    pass


class BadContract(UserError):
    fault: str = ""
    at: int = -1


class CompileError(UserError):
    pass


class UnknownFunction(UserError):
    pass


class WrongArguments(UserError):
    pass


class FailedTests(UserError):
    pass


class UnknownJob(UserError):
    pass


class UnknownContract(UserError):
    """No such contract is deployed on this ledger."""


class UnknownBlob(UserError):
    pass


class WrongKey(UserError):
    pass


class MissingKey(UserError):
    pass


class NotFinished(UserError):
    pass


class IdempotencyConflict(UserError):
    pass


class CohortTooLarge(UserError):
    pass


class UnaffordableJob(UserError):
    pass


class PolicyRefused(UserError):
    pass


class PeerError(QuorateError):
    """Another party broke a rule. `evidence` holds the bytes that a third party can check."""

    def __init__(self, message: str, *, field: str = "", limit: str = "", fix: str = "", evidence: bytes = b"") -> None:
        super().__init__(message, field=field, limit=limit, fix=fix)
        self.evidence = evidence


class MalformedBytes(PeerError):
    pass


class BadSignature(PeerError):
    pass


class BadCommitment(PeerError):
    pass


class BadSeal(PeerError):
    pass


class JobError(QuorateError):
    """The job ended without a result; its receipt says why."""


class JobFailed(JobError):
    pass


class JobRejected(JobError):
    pass


class JobCancelled(JobError):
    pass


class StateConflict(JobError):
    """Another call was settled on the head that this one ran on; nothing of this one remains. Call again."""


class TransferRefused(JobError):
    """The contract pays an id that no account has; nothing of the call remains."""


class MatchTimeout(JobError):
    pass


class TransferTimeout(JobError):
    pass


class RunTimeout(JobError):
    pass


class VerifyTimeout(JobError):
    pass


class WorldError(QuorateError):
    """Disk, network, clock or another process. Trying again may help."""


class NoNetwork(WorldError):
    pass


class NetworkRunning(WorldError):
    pass


class PortTaken(WorldError):
    pass


class StateUnresolved(WorldError):
    """Nobody who answers has the bytes of a contract's program or state: that says nothing about what they are."""


class ClockSkew(WorldError):
    pass


class DiskFull(WorldError):
    pass


class Interrupted(WorldError):
    pass


class PathTooLong(WorldError):
    pass


class UnsupportedMachine(WorldError):
    pass


class MissingExtra(QuorateError, ImportError):
    """An optional package is absent. `extra` is the name to install: `pip install quorate[extra]`."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed", fix=f"pip install 'quorate[{extra}]'")
        self.extra = extra
