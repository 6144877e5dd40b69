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
    from quorate.api.elements import Element
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
    """Print the result of a job: exactly the bytes that the program wrote; of an array, one output a line.

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

    parts = found.elements()
    plaintext = b"".join(map(_line, parts)) if view.elements > 1 else found.decrypt()
    error = _bad_end(found, view, parts)
    if output.json:
        render.say_json(_opened(found, view, parts))
        return 0 if error is None else exit_code(error)
    if out is not None:
        write_whole(out, plaintext, secret=True)
        render.note(f"wrote {out}, {render.size(len(plaintext))}")
    else:
        render.say_bytes(plaintext)
    if error is not None:
        raise error
    return 0


def _line(part: Element) -> bytes:
    """An element's output as one line: its own last newline is not doubled."""
    return part.written.removesuffix(b"\n") + b"\n"


def _bad_end(found: Result, view: JobView, parts: tuple[Element, ...]) -> errors.JobFailed | None:
    from quorate.model.media import is_of_media

    if found.ok:
        if all(is_of_media(part.written, view.output_media) for part in parts):
            return None
        return errors.JobFailed(f"the result is no {view.output_media}", field="job", fix="ask the program's author")
    if len(parts) == 1:
        return _guest_error(found)
    bad = [part for part in parts if not part.ok]
    first = bad[0].error
    assert first is not None
    said = f"{len(bad)} of {len(parts)} elements ended badly: {first.message}"
    return errors.JobFailed(said, field="job", fix="--json shows how each of them ended")


def _guest_error(found: Result) -> errors.JobFailed:
    ended = found.status.replace("_", " ")
    said = f"the program ended with {ended}" + (f" (exit code {found.exit_code})" if found.exit_code else "")
    return errors.JobFailed(said, field="job", fix=f"quorate compute logs {render.short(found.job)}")


def _opened(found: Result, view: JobView, parts: tuple[Element, ...]) -> dict[str, Any]:
    job = {"job": found.job, "state": view.state, "status": found.status, "media_type": view.output_media}
    spent = {"elapsed_ms": view.elapsed_ms, "paid_micro": found.paid_micro}
    if view.elements > 1:
        return {**job, "elements": [{"status": part.status, **_written(part)} for part in parts], **spent}
    return {**job, **_written(parts[0]), **spent}


def _written(part: Element) -> dict[str, Any]:
    from base64 import b64encode

    try:
        text = part.written.decode()
    except UnicodeDecodeError:
        text = None
    return {"exit_code": part.exit_code, "output": text, "output_base64": b64encode(part.written).decode()}


def logs(job: Job, *, output: Output = PLAIN) -> int:
    """Print what the program wrote to standard error, of an array element by element. The log of a private job is
    sealed to you like its result.

    Parameters
    ----------
    job
        The job id, or its beginning.
    """

    async def work(client: Client) -> int:
        view = await client.status(job)
        logs = await client.element_logs(view.job)
        if output.json:
            render.say_json({"job": view.job, **_logs(logs)})
        elif not any(logs):
            render.note("the program wrote nothing to standard error")
        for place, data in enumerate(() if output.json else logs):
            if data and len(logs) > 1:
                render.say(f"element {place}:")
            render.say_bytes(data if len(logs) == 1 or not data else data.removesuffix(b"\n") + b"\n")
        return 0

    return with_client(work)


def _logs(logs: tuple[bytes, ...]) -> dict[str, Any]:
    texts = [data.decode(errors="replace") for data in logs]
    return {"logs": texts} if len(texts) > 1 else {"log": texts[0]}


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
