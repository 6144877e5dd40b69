"""`quorate demo`: the whole path of a private job on a local network, in a home that is gone afterwards.

Six processes, each with its own keys and store; the shipped aggregation over twelve salaries; three replicas. Nothing
is kept and nothing is left running, also after Ctrl-C or an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from quorate import errors
from quorate.api import foreground, render
from quorate.api.cli_options import PLAIN, Output
from quorate.api.help_pages import epilogue

if TYPE_CHECKING:
    from quorate.api.builder import Draft
    from quorate.api.onlookers import Onlooker
    from quorate.jobs.receipts import Report
    from quorate.model.outcome import Receipt
    from quorate.node.localnet import LocalNet

PROVIDERS = 4
REPLICAS = 3
FOLDER = "aggregation"
FOLDER_BYTES_MAX = 60
"""Leaves room for the demo's own folder and the socket in it: 107 bytes in all."""
ENDINGS = (signal.SIGTERM, signal.SIGHUP)

app = App(
    name="demo",
    help="Watch a private job run, from submission to a verified receipt.",
    help_epilogue=epilogue(
        "quorate demo",
        errors.WorldError,
        errors.PortTaken,
        errors.DiskFull,
        errors.PathTooLong,
        errors.UnsupportedMachine,
        errors.JobFailed,
        errors.RunTimeout,
        done="the job ran, its receipt is valid, nothing is left behind",
        others="12 the receipt is invalid",
    ),
)


@dataclass(frozen=True)
class Shown:
    """What came of the job."""

    job: str
    result: bytes
    elapsed_ms: int
    receipt: Receipt


@app.default
def demo(*, output: Output = PLAIN) -> int:
    """Start a local network, run a private job on three of its four providers, open the result, verify the receipt.

    It takes about ten seconds, needs no network, and leaves nothing behind.
    """
    from quorate.api.cli_verify import CODES
    from quorate.node import localnet

    began = time.monotonic()
    foreground.on_interruption("interrupted; the network is stopped and its folder is removed")
    tell = _Telling(quiet=output.json)
    with temporary_home() as home:
        tell.step(f"1. A local network: {PROVIDERS} providers, a ledger sequencer, your node")
        net = localnet.up(home, PROVIDERS, progress=tell.line)
        tell.line(f"network {net.network.hex()}")
        draft = _draft(tell)
        shown = asyncio.run(_run(home, draft, tell))
        tell.step("4. The result, opened on this machine with a key that never left it")
        tell.line(shown.result.decode(errors="replace").rstrip())
        path = _keep_receipt(home, shown)
        stopped = localnet.down(home)
        tell.step(f"5. The receipt, verified offline: all {len(stopped)} processes are stopped")
        report = _verified(path, net, tell)
        parties = _parties(home, draft, shown, tell)
    took_ms = round(1000 * (time.monotonic() - began))
    if output.json:
        render.say_json(_plain(shown, net, report, parties) | {"took_ms": took_ms})
    tell.step(f"Done in {render.duration(took_ms)}. Nothing is running, nothing was kept.")
    tell.line("yours: quorate localnet up, then quorate compute submit --help")
    if any(party.found for party in parties):
        raise errors.QuorateError("plaintext was found where it must not be", field="demo")
    return CODES[report.outcome]


class _Telling:
    """Says what goes on, unless a program reads along."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def step(self, text: str) -> None:
        if not self.quiet:
            render.title(text)

    def line(self, text: str) -> None:
        if not self.quiet:
            render.say(f"   {text}")


def _draft(tell: _Telling) -> Draft:
    from quorate.api.builder import Job
    from quorate.api.examples import example

    draft = (
        Job.builder()
        .wasm(example(FOLDER, "aggregation.wasm"))
        .private_input(example(FOLDER, "input.json"))
        .with_ownership_proof()
        .replication(REPLICAS)
        .build()
    )
    tell.step(f"2. A private job: {FOLDER} over {render.size(len(draft.input))} of salaries, {REPLICAS} replicas")
    tell.line(f"input   {draft.input.decode(errors='replace').strip()}")
    tell.line(f"program {draft.program.digest.hex()[:16]}..., {render.size(len(draft.module))} of WebAssembly")
    tell.line("sealed before it leaves this process: encrypted, committed to, owned")
    return draft


async def _run(home: Path, draft: Draft, tell: _Telling) -> Shown:
    from quorate.api.client import aconnect
    from quorate.api.watching import LineTeller, ending, follow

    tell.step("3. Drawn, executed and voted on")
    async with await aconnect(home) as client:
        job = await client.submit(draft)
        tell.line(f"job {job}")
        shown = LineTeller(lambda line: None) if tell.quiet else _shown_on(tell)
        view = await follow(client, job, shown, settled=True)
        if error := ending(view):
            raise error
        result = await client.result(job)
        if not result.ok:
            raise errors.JobFailed(f"the program ended with {result.status}", field="job")
        tell.line(f"paid {render.money(view.paid_micro)} in {render.elapsed(view.elapsed_ms)}")
        return Shown(job, result.decrypt(), view.elapsed_ms, await client.receipt(job))


def _shown_on(tell: _Telling) -> Any:
    from quorate.api.watching import LineTeller, teller

    return teller(sys.stdout) if render.wants_motion(sys.stdout) else LineTeller(tell.line)


def _keep_receipt(home: Path, shown: Shown) -> Path:
    from quorate.api.files_out import write_whole
    from quorate.jobs.receipts import to_json

    path = home / "receipt.json"
    write_whole(path, to_json(shown.receipt), secret=False)
    return path


def _verified(path: Path, net: LocalNet, tell: _Telling) -> Report:
    from quorate.api.cli_verify import check_file

    report = check_file(path, net.network)
    tell.line(report.line)
    tell.line(f"{len(report.steps)} steps held, from the file and the network id alone; it names what you still trust:")
    if not tell.quiet:
        for sentence in report.trust:
            render.say_wrapped(sentence, indent=3)
    return report


def _parties(home: Path, draft: Draft, shown: Shown, tell: _Telling) -> list[Onlooker]:
    from quorate.api.onlookers import onlookers, windows

    pieces = windows([draft.input, shown.result], [draft.module])
    parties = onlookers(home, shown.receipt, pieces)
    tell.step("6. What each party could see, and what a search of its files for the plaintext found")
    if not tell.quiet:
        rows = [(p.party, p.input, p.result, p.knows, _searched(p)) for p in parties]
        render.say_table(("party", "input", "result", "also knows", "plaintext in its files"), rows)
        tell.line("executors open the input in memory to run it; what passes between processes is mutual TLS")
    return parties


def _searched(party: Onlooker) -> str:
    found = "none" if not party.found else f"FOUND in {party.found}"
    return f"{found} ({render.plural(party.searched, 'file')})"


def _plain(shown: Shown, net: LocalNet, report: Report, parties: list[Onlooker]) -> dict[str, Any]:
    return {
        "network": net.network.hex(),
        "job": shown.job,
        "output": shown.result.decode(errors="replace"),
        "elapsed_ms": shown.elapsed_ms,
        "receipt": report.to_dict(),
        "parties": [asdict(party) for party in parties],
    }


@contextlib.contextmanager
def temporary_home() -> Iterator[Path]:
    """A fresh folder with a short path, removed at the end with whatever runs in it; also on Ctrl-C or SIGTERM."""
    home = Path(tempfile.mkdtemp(prefix="quorate-", dir=_short_folder()))
    before = {number: signal.signal(number, _as_interruption) for number in ENDINGS}
    try:
        yield home
    finally:
        # The clean-up itself is not interrupted: it takes a second or two.
        ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            _remove(home)
        finally:
            signal.signal(signal.SIGINT, ignored)
            for number, handler in before.items():
                signal.signal(number, handler)


def _remove(home: Path) -> None:
    from quorate.node import localnet

    with contextlib.suppress(errors.NoNetwork):
        localnet.down(home, purge=True)
    shutil.rmtree(home, ignore_errors=True)


def _short_folder() -> str:
    """The folder for temporary files, or /tmp where that one's name leaves no room for a socket's path."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= FOLDER_BYTES_MAX else "/tmp"


def _as_interruption(number: int, frame: object) -> None:
    raise KeyboardInterrupt
