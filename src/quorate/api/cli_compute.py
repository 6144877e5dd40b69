"""`quorate compute`: submit jobs, follow them, open their results.

Each verb is one call of the client and a way to print its answer.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from quorate import errors
from quorate.api import foreground, render
from quorate.api.cli_options import CLOCKS, PLAIN, JobOptions, Output, draft_of, per_mille
from quorate.api.cli_results import LOGS_PAGE, RECEIPT_PAGE, RESULT_PAGE, Job, give, logs, receipt, result
from quorate.api.foreground import with_client
from quorate.api.help_pages import ASKED, ENDED, FILES, FOUND, PAID, WORLD, epilogue
from quorate.api.problems import exit_code

if TYPE_CHECKING:
    from quorate.api.builder import Draft
    from quorate.api.client import Client
    from quorate.api.schemas import JobView

PRIVATE_NOTE = "sealed: only the executors drawn for this job see the input and the result in plaintext"
PATIENCE_STEPS, PATIENCE_STEP_S = 5, 0.2
PUBLIC_NOTE = "public: provider sees input and output, and everyone on the network may (--private seals them)"

app = App(
    name="compute",
    help="Submit jobs, follow them, open their results.",
    help_epilogue=epilogue(
        "quorate compute submit --wasm ./my_program.wasm --input ./input.json \\\n    --private --replication 3\n"
        "quorate compute status 3fa41b2c --watch\nquorate compute result 3fa41b2c --decrypt",
        *ASKED,
        *WORLD,
    ),
)

Key = Annotated[str, Parameter(group=CLOCKS)]


async def _submitted(client: Client, draft: Draft, key: str) -> str:
    if not key:
        await _refuse_what_cannot_be_had(client, draft)
    foreground.on_interruption("interrupted while submitting; quorate compute list shows whether the job was taken")
    job = await client.submit(draft, key)
    foreground.follow(job)
    return job


async def _refuse_what_cannot_be_had(client: Client, draft: Draft) -> None:
    """A job that no roster of now can serve would be waited for until its match clock runs out; here it is refused.

    Providers that are just coming back are given a moment.
    """
    import asyncio

    from quorate.api.explaining import refusal

    for step in range(PATIENCE_STEPS):
        await asyncio.sleep(PATIENCE_STEP_S if step else 0)
        error = refusal(await client.quote(draft))
        if error is None:
            return
    assert error is not None
    error.fix = error.fix or "quorate compute quote shows which rule leaves which node out"
    raise error


@app.command(
    help_epilogue=epilogue(
        "quorate compute submit --wasm ./my_program.wasm --input ./input.json \\\n    --private --replication 3",
        *FILES,
        *ASKED,
        *PAID,
        errors.IdempotencyConflict,
        errors.MatchTimeout,
        *WORLD,
        done="the job is taken and goes on by itself",
    )
)
def submit(*, options: JobOptions, key: Key = "", output: Output = PLAIN) -> int:
    """Seal, sign and submit a job; the last word printed is its id.

    Parameters
    ----------
    key
        Your own name for this submission: the same key again is the same job, never a second one.
    """
    draft = draft_of(options)

    async def work(client: Client) -> int:
        if not output.json:
            render.note(PRIVATE_NOTE if draft.private else PUBLIC_NOTE)
        job = await _submitted(client, draft, key)
        if output.json:
            render.say_json(_taken(job, draft))
            return 0
        render.note(f"submitted; to follow it: quorate compute status {render.short(job)} --watch")
        render.say(job)
        return 0

    return with_client(work)


def _taken(job: str, draft: Draft) -> dict[str, Any]:
    return {
        "job": job,
        "private": draft.private,
        "proof": draft.proof.method,
        "replicas": draft.proof.replicas,
        "elements": draft.elements,
        "program": draft.program.digest.hex(),
    }


@app.command(
    help_epilogue=epilogue(
        "quorate compute run --wasm ./my_program.wasm --input ./input.json \\\n"
        "    --private --replication 3 > result.json",
        *FILES,
        *ASKED,
        *PAID,
        errors.IdempotencyConflict,
        *ENDED,
        *WORLD,
        done="the program ended well; its output is on standard output",
    )
)
def run(*, options: JobOptions, key: Key = "", out: Path | None = None, output: Output = PLAIN) -> int:
    """Submit a job, watch it, print its result in plaintext.

    Parameters
    ----------
    key
        Your own name for this submission: the same key again is the same job, never a second one.
    out
        Write the result to this file (mode 0600) instead of standard output.
    """
    from quorate.api.watching import ending, follow, teller

    draft = draft_of(options)

    async def work(client: Client) -> int:
        if not output.json:
            render.note(PRIVATE_NOTE if draft.private else PUBLIC_NOTE)
        job = await _submitted(client, draft, key)
        if not output.json:
            render.note(f"job {job}")
        view = await follow(client, job, teller(sys.stderr))
        if error := ending(view):
            raise error
        return give(await client.result(job), view, out, output)

    return with_client(work)


@app.command(
    help_epilogue=epilogue(
        "quorate compute status 3fa41b2c\nquorate compute status 3fa41b2c --watch",
        *FOUND,
        *ENDED,
        *WORLD,
        done="the state is printed (with --watch: the job has a result)",
    )
)
def status(job: Job, *, watch: bool = False, output: Output = PLAIN) -> int:
    """Print the state of a job and the time it has taken.

    Parameters
    ----------
    job
        The job id, or its beginning.
    watch
        Draw the progress until the job has ended; the exit code is that of its end.
    """
    from quorate.api.watching import ending, follow, teller

    async def work(client: Client) -> int:
        view = await client.status(job)
        foreground.follow(view.job)
        if watch:
            view = await follow(client, view.job, teller(sys.stdout, json=output.json))
            if (error := ending(view)) and not output.json:
                raise error
            return 0 if error is None else exit_code(error)
        if output.json:
            render.say_json(view)
        else:
            _print_view(view)
        foreground.on_interruption(foreground.NOTHING_DONE)
        return 0

    return with_client(work)


def _print_view(view: JobView) -> None:
    render.say(f"job: {view.job}")
    render.say(f"state: {view.line}")
    if view.elements > 1:
        render.say(f"elements: {view.elements}")
    render.say(f"elapsed: {render.elapsed(view.elapsed_ms)}")
    if view.round > 1:
        render.say(f"round: {view.round} of {view.rounds_max}")
    if view.clock not in ("", "none"):
        render.say(f"clock: {view.clock}")
    if view.error:
        render.say(f"error: {view.error}: {view.detail}" if view.detail else f"error: {view.error}")
    if view.settled and view.price_max_micro:
        render.say(f"paid: {render.money(view.paid_micro)}")
    elif view.price_max_micro:
        render.say(f"price: at most {render.money(view.price_max_micro)}")


@app.command(
    name="list",
    help_epilogue=epilogue("quorate compute list --limit 20", errors.InvalidField, *WORLD),
)
def list_jobs(*, limit: int = 100, output: Output = PLAIN) -> int:
    """List your jobs, newest first.

    Parameters
    ----------
    limit
        How many at most.
    """

    async def work(client: Client) -> int:
        views = await client.list(limit)
        if output.json:
            render.say_json({"jobs": list(views)})
        elif not views:
            render.note("no jobs yet: quorate compute submit --help shows how to submit one")
        else:
            titles = ("job", "state", "proof", "sealed", "elapsed", "paid (micro-credits)")
            render.say_table(titles, [_listed(view) for view in views])
        return 0

    return with_client(work)


def _listed(view: JobView) -> tuple[object, ...]:
    proof = f"{view.proof} of {view.replicas}" if view.replicas > 1 else view.proof
    sealed = "yes" if view.private else "no"
    return (render.short(view.job), view.line, proof, sealed, render.elapsed(view.elapsed_ms), view.paid_micro)


@app.command(
    help_epilogue=epilogue("quorate compute cancel 3fa41b2c", *FOUND, *WORLD, done="no process of the job is running")
)
def cancel(job: Job, *, output: Output = PLAIN) -> int:
    """Cancel a job; answers once its processes are gone. A job that has ended already stays as it is.

    Parameters
    ----------
    job
        The job id, or its beginning.
    """

    async def work(client: Client) -> int:
        view = await client.cancel(job)
        if output.json:
            render.say_json(view)
        elif view.state == "cancelled":
            render.say(f"cancelled {render.short(view.job)}: no process of it is running")
        elif view.ended:
            render.say(f"{render.short(view.job)} was {view.line} already")
        else:
            raise errors.WorldError("its processes are still being stopped", field="job", fix="ask again")
        return 0

    return with_client(work)


@app.command(help_epilogue=epilogue("quorate compute explain 3fa41b2c", *FOUND, *WORLD))
def explain(job: Job, *, output: Output = PLAIN) -> int:
    """Say which rule left which node out, which phase clock is running, and what was decided when.

    Parameters
    ----------
    job
        The job id, or its beginning.
    """
    from quorate.api.explaining import print_explanation

    async def work(client: Client) -> int:
        found = await client.explain(job)
        if output.json:
            render.say_json(found)
        else:
            print_explanation(found)
        return 0

    return with_client(work)


@app.command(
    help_epilogue=epilogue(
        "quorate compute quote --wasm ./my_program.wasm --input ./input.json \\\n"
        "    --private --replication 3 --colluders 20%",
        *FILES,
        *ASKED,
        *PAID,
        *WORLD,
    )
)
def quote(*, options: JobOptions, colluders: str = "20%", output: Output = PLAIN) -> int:
    """Say what a job would cost, who would see what, and the odds of a wrong result. Nothing is submitted or spent.

    Parameters
    ----------
    colluders
        The share of the providers to reckon with as working together against you, such as 20% or 0.2.
    """
    from quorate.api.explaining import print_quote, refusal

    draft, share = draft_of(options), per_mille(colluders)

    async def work(client: Client) -> int:
        found = await client.quote(draft, share)
        if output.json:
            render.say_json(found)
        else:
            print_quote(found)
        error = refusal(found)
        if error is None or output.json:
            return 0 if error is None else exit_code(error)
        raise error

    return with_client(work)


app.command(result, help_epilogue=RESULT_PAGE)
app.command(logs, help_epilogue=LOGS_PAGE)
app.command(receipt, help_epilogue=RECEIPT_PAGE)
