"""The verbs of `quorate compute` that open what a job left behind: result, logs, receipt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from quorate import errors
from quorate.api import render
from quorate.api.cli_options import PLAIN, Output
from quorate.api.foreground import with_client
from quorate.api.help_pages import ENDED, FOUND, WORLD, epilogue
from quorate.api.problems import exit_code

if TYPE_CHECKING:
    from quorate.api.client import Client
    from quorate.api.results import Result
    from quorate.api.schemas import JobView

Job = Annotated[str, Parameter(show_default=False)]
RECEIPT = Path("receipt.json")
RESULT_PAGE = epilogue(
    "quorate compute result 3fa41b2c --decrypt\nquorate compute result 3fa41b2c --decrypt --out result.json",
    *FOUND,
    errors.NotFinished,
    errors.MissingKey,
    errors.WrongKey,
    *ENDED,
    *WORLD,
)
LOGS_PAGE = epilogue(
    "quorate compute logs 3fa41b2c",
    *FOUND,
    errors.NotFinished,
    errors.MissingKey,
    errors.WrongKey,
    *ENDED,
    *WORLD,
)
RECEIPT_PAGE = epilogue(
    "quorate compute receipt 3fa41b2c --out receipt.json\nquorate verify receipt.json",
    *FOUND,
    errors.NotFinished,
    errors.DiskFull,
    *WORLD,
)


def result(job: Job, *, decrypt: bool = False, out: Path | None = None, output: Output = PLAIN) -> int:
    """Print the result of a job: exactly the bytes that the program wrote.

    A private result is opened on this machine, with the key that only your own files hold.

    Parameters
    ----------
    job
        The job id, or its beginning.
    decrypt
        Open a private result. Without it, where the sealed copies are.
    out
        Write the result to this file (mode 0600) instead of standard output.
    """

    async def work(client: Client) -> int:
        view = await client.status(job)
        if view.private and not decrypt:
            return await _print_sealed(view, output)
        return give(await client.result(view.job), view, out, output)

    return with_client(work)


async def _print_sealed(view: JobView, output: Output) -> int:
    """Where the ciphertext is; nothing is opened, so no key is needed."""
    from quorate.api.sealed_copies import sealed_copies

    copies = await sealed_copies(view.job)
    if output.json:
        render.say_json({"job": view.job, "sealed": True, "copies": copies})
        return 0
    render.say(f"sealed result, {render.plural(len(copies), 'copy')} at your node:")
    render.say_table(
        ("member", "blob (BLAKE3)", "size"), [(c["member"][:12], c["blob"], render.size(c["bytes"])) for c in copies]
    )
    render.note(f"to open it: quorate compute result {render.short(view.job)} --decrypt")
    return 0


def give(found: Result, view: JobView, out: Path | None, output: Output) -> int:
    """Prints or writes the plaintext. A guest that ended badly is an error, after its output."""
    from quorate.api.files_out import write_whole

    plaintext = found.decrypt()
    error = None if found.ok else _guest_error(found)
    if output.json:
        render.say_json(_opened(found, view, plaintext))
        return 0 if error is None else exit_code(error)
    if out is not None:
        write_whole(out, plaintext, secret=True)
        render.note(f"wrote {out}, {render.size(len(plaintext))}")
    else:
        render.say_bytes(plaintext)
    if error is not None:
        raise error
    return 0


def _guest_error(found: Result) -> errors.JobFailed:
    ended = found.status.replace("_", " ")
    said = f"the program ended with {ended}" + (f" (exit code {found.exit_code})" if found.exit_code else "")
    return errors.JobFailed(said, field="job", fix=f"quorate compute logs {render.short(found.job)}")


def _opened(found: Result, view: JobView, plaintext: bytes) -> dict[str, Any]:
    from base64 import b64encode

    try:
        text = plaintext.decode()
    except UnicodeDecodeError:
        text = None
    return {
        "job": found.job,
        "state": view.state,
        "status": found.status,
        "exit_code": found.exit_code,
        "output": text,
        "output_base64": b64encode(plaintext).decode(),
        "elapsed_ms": view.elapsed_ms,
        "paid_micro": found.paid_micro,
    }


def logs(job: Job, *, output: Output = PLAIN) -> int:
    """Print what the program wrote to standard error. The log of a private job is sealed to you like its result.

    Parameters
    ----------
    job
        The job id, or its beginning.
    """

    async def work(client: Client) -> int:
        view = await client.status(job)
        data = await client.logs(view.job)
        if output.json:
            render.say_json({"job": view.job, "log": data.decode(errors="replace")})
        elif data:
            render.say_bytes(data)
        else:
            render.note("the program wrote nothing to standard error")
        return 0

    return with_client(work)


def receipt(
    job: Job, *, out: Annotated[Path, Parameter(allow_leading_hyphen=True)] = RECEIPT, output: Output = PLAIN
) -> int:
    """Write the receipt of a job to a file that anyone can verify offline.

    Parameters
    ----------
    job
        The job id, or its beginning.
    out
        The file to write; - is standard output. It holds no secret.
    """
    from quorate.api.files_out import write_whole
    from quorate.jobs.receipts import to_json

    async def work(client: Client) -> int:
        view = await client.status(job)
        data = to_json(await client.receipt(view.job))
        if str(out) == "-":
            render.say_bytes(data)
            return 0
        write_whole(out, data, secret=False)
        if output.json:
            render.say_json({"job": view.job, "receipt": str(out), "bytes": len(data), "settled": view.settled})
            return 0
        render.say(f"wrote {out}, {render.size(len(data))}")
        if not view.settled:
            render.note("the job is not settled yet: ask again for a receipt that shows the payment")
        render.note(f"next: quorate verify {out}")
        return 0

    return with_client(work)
