"""`quorate verify`: a receipt is checked offline, with public keys and the network id only."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from quorate import errors
from quorate.api import problems, render
from quorate.api.cli_options import PLAIN, Output
from quorate.api.help_pages import epilogue
from quorate.model.units import Millis

if TYPE_CHECKING:
    from quorate.jobs.receipts import Report
    from quorate.model.units import Digest

CODES = {
    "valid": problems.OK,
    "valid_simulated": problems.VALID_SIMULATED,
    "unauthenticated": problems.UNAUTHENTICATED,
    "invalid": problems.INVALID,
}
COLOURS = {"valid": "green", "valid_simulated": "yellow", "unauthenticated": "yellow", "invalid": "red"}

app = App(
    name="verify",
    help="Verify a receipt offline.",
    help_epilogue=epilogue(
        "quorate verify receipt.json\nquorate verify receipt.json --network-id 4c1f...e0",
        errors.UnreadableFile,
        errors.TooLarge,
        errors.InvalidField,
        done="valid",
        others=(
            f"{problems.VALID_SIMULATED} valid, with simulated parts\n"
            f"{problems.UNAUTHENTICATED} consistent, but nothing pins the network\n"
            f"{problems.INVALID} invalid"
        ),
    ),
)


@app.default
def verify(
    receipt: Annotated[Path, Parameter(show_default=False)], *, network_id: str = "", output: Output = PLAIN
) -> int:
    """Check every signature, the draw, the votes, the verdict and the payment of a job, from its receipt alone.

    No node is asked. The network id tells that the receipt is of the network you mean; without one, all that can be
    said is that the receipt is consistent with itself.

    Parameters
    ----------
    receipt
        The file that `quorate compute receipt` wrote.
    network_id
        The id of the network, 64 hexadecimal characters (default: the network under QUORATE_HOME, if there is one).
    """
    pinned, source = pinned_network(network_id)
    report = check_file(receipt, pinned)
    if output.json:
        render.say_json({**report.to_dict(), "pinned_by": source})
    else:
        print_report(report, source)
    return CODES[report.outcome]


def pinned_network(given: str) -> tuple[Digest | None, str]:
    """The network id to hold the receipt to, and where it comes from. Only a file is read, no node is asked."""
    from quorate.api.commands import digest_named
    from quorate.crypto.digests import value_digest
    from quorate.node.config import home_folder, load_genesis

    if given:
        return digest_named(given.strip().lower(), "network-id"), "--network-id"
    home = home_folder()
    try:
        return value_digest(load_genesis(home)), str(home)
    except errors.NoNetwork:
        return None, ""


def check_file(path: Path, network: Digest | None) -> Report:
    """The report on the receipt in a file. Raises UnreadableFile; a file that is no receipt is an invalid one."""
    from quorate.jobs.receipts import check_json

    return check_json(_read(path), network=network, now_ms=Millis(time.time_ns() // 1_000_000))


def _read(path: Path) -> bytes:
    from quorate.jobs.receipts import JSON_BYTES_MAX

    try:
        with path.open("rb") as file:
            data = file.read(JSON_BYTES_MAX + 1)
    except OSError as fault:
        raise errors.UnreadableFile(
            f"{path}: {fault.strerror}", field="receipt", fix="quorate compute receipt JOB writes one"
        ) from None
    if len(data) > JSON_BYTES_MAX:
        raise errors.TooLarge(f"{path} goes on", field="receipt", limit=f"{JSON_BYTES_MAX} bytes", fix="name a receipt")
    return data


def print_report(report: Report, source: str) -> None:
    """The outcome first, then what it rests on."""
    render.console().print(report.line, style=f"bold {COLOURS[report.outcome]}", soft_wrap=True)
    if report.network:
        render.say(f"network    {report.network}" + (f" (pinned by {source})" if source else " (not pinned)"))
        render.say(f"job        {report.job}")
        render.say(f"agreement  {report.agreement}")
        render.say(f"ledger     {'settled' if report.settled else 'not settled yet'} at height {report.height}")
    render.title("Steps")
    steps = [(step.number, step.name, "holds" if step.holds else "fails", step.sentence) for step in report.steps]
    render.say_table(("step", "name", "", "what was found"), steps)
    if report.trust:
        render.title("What you still trust")
        for sentence in report.trust:
            render.say_wrapped(sentence)
    for line in report.notes:
        render.note(f"note: {line}")
    if report.outcome == "unauthenticated" and not source:
        render.note("to authenticate it: quorate verify --network-id ID, with the id from someone you trust")
