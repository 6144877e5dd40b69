"""`quorate localnet`: a whole network on this machine, one process for each party."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cyclopts import App

from quorate import errors
from quorate.api import foreground, render
from quorate.api.cli_options import PLAIN, Output
from quorate.api.help_pages import epilogue
from quorate.api.problems import exit_code
from quorate.errors import InvalidField, NoNetwork

app = App(
    name="localnet",
    help="Start, show and stop a network on this machine.",
    help_epilogue=epilogue(
        "quorate localnet up --nodes 4\nquorate localnet status\nquorate localnet down",
        errors.NoNetwork,
        errors.NetworkRunning,
        errors.WorldError,
    ),
)

PROVIDERS_MAX = 64


@app.command(
    help_epilogue=epilogue(
        "quorate localnet up --nodes 4\nquorate --home ~/second localnet up   # a second network beside it",
        errors.NetworkRunning,
        errors.PortTaken,
        errors.PathTooLong,
        errors.DiskFull,
        errors.UnsupportedMachine,
        errors.InvalidField,
        errors.WorldError,
        done="every provider is ready",
    )
)
def up(
    *,
    nodes: int = 4,
    output: Output = PLAIN,
) -> int:
    """Start a network: providers, a ledger sequencer and your own node, each a process with its own keys and store.

    They talk over mutual TLS on 127.0.0.1. Keys are made at the first start and kept until `down --purge`.

    Parameters
    ----------
    nodes
        How many providers a new network has. A network that was stopped comes back as it was.
    """
    from quorate.node import localnet
    from quorate.node.config import home_folder

    if not 1 <= nodes <= PROVIDERS_MAX:
        raise InvalidField(str(nodes), field="nodes", limit=f"1 to {PROVIDERS_MAX}", fix="choose a number in between")
    home = home_folder()
    foreground.on_interruption("interrupted; the processes that were started are stopped again")
    began = time.monotonic()
    net = localnet.up(home, nodes, progress=render.note)
    took_ms = 1000 * (time.monotonic() - began)
    if output.json:
        processes = [_process(item) for item in localnet.status(home)]
        where = {"network": net.network.hex(), "home": str(home), "door": str(net.door)}
        render.say_json({**where, "processes": processes})
        return 0
    providers = sum(process.role == "provider" for process in net.processes)
    render.say(f"network {net.network.hex()}")
    render.say(
        f"up in {render.duration(took_ms)}: {render.plural(providers, 'provider')}, a sequencer and your node, "
        f"{render.plural(len(net.processes), 'process')}"
    )
    if providers != nodes:
        render.note(f"this network was made with {render.plural(providers, 'provider')} and keeps them")
    render.note(f"home {home}")
    render.note("next: quorate compute submit --wasm ./my_program.wasm --input ./input.json --private --replication 3")
    return 0


@app.command(
    help_epilogue=epilogue(
        "quorate localnet status",
        errors.NoNetwork,
        errors.WorldError,
        done="every process of the network is alive",
    )
)
def status(*, output: Output = PLAIN) -> int:
    """Show every process of the network: alive or not, its port and its memory."""
    from quorate.node import localnet
    from quorate.node.config import home_folder

    home = home_folder()
    processes = localnet.status(home)
    if not processes:
        raise _no_network(home)
    seen = localnet.overview(home / "node" / "door.sock")
    alive = all(process.alive for process in processes)
    if output.json:
        render.say_json({**_overview(home, seen), "alive": alive, "processes": [_process(item) for item in processes]})
    else:
        for line in _lines(home, seen):
            render.say(line)
        render.say_table(("process", "role", "state", "pid", "port", "memory"), [_row(item) for item in processes])
    if alive:
        return 0
    stopped = [process.name for process in processes if not process.alive]
    error = errors.WorldError(
        f"{', '.join(stopped)} stopped",
        field="localnet",
        fix=f"see {home}/{stopped[0]}/log.txt, then quorate localnet down and up",
    )
    if output.json:
        return exit_code(error)
    raise error


@app.command(
    help_epilogue=epilogue(
        "quorate localnet down\nquorate localnet down --purge   # keys, stores and results go too",
        errors.NoNetwork,
        errors.WorldError,
        done="nothing of the network is running",
    )
)
def down(*, purge: bool = False, output: Output = PLAIN) -> int:
    """Stop every process of the network. Keys, stores and results stay, so that `up` goes on where it was.

    Parameters
    ----------
    purge
        Remove the network under QUORATE_HOME too: keys, stores, results. What is not the network's own stays.
    """
    from quorate.node import localnet
    from quorate.node.config import home_folder

    home = home_folder()
    foreground.on_interruption("interrupted; run quorate localnet down again")
    stopped = localnet.down(home, purge=purge)
    if output.json:
        render.say_json({"stopped": stopped, "purged": purge, "home": str(home)})
        return 0
    render.say(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    render.note(f"removed the network under {home}" if purge else "kept its keys and store (--purge removes them)")
    return 0


def _no_network(home: Path) -> NoNetwork:
    made = (home / "network.cbor").exists()
    said = f"the network under {home} is not running" if made else f"no network under {home}"
    return NoNetwork(said, field="QUORATE_HOME", fix="quorate localnet up")


def _process(process: Any) -> dict[str, Any]:
    return dict(process._asdict())


def _row(process: Any) -> tuple[object, ...]:
    memory = render.size(process.memory_kib << 10) if process.alive else "-"
    return (process.name, process.role, "alive" if process.alive else "stopped", process.pid, process.port, memory)


def _overview(home: Path, seen: dict[str, Any]) -> dict[str, Any]:
    return {"home": str(home), "door": str(home / "node" / "door.sock"), "answers": bool(seen), **seen}


def _lines(home: Path, seen: dict[str, Any]) -> list[str]:
    if not seen:
        return [f"home     {home}", "door     does not answer"]
    return [
        f"network  {seen.get('network', '')}",
        f"home     {home}",
        f"offers   {seen.get('standing_offers', 0)} standing; jobs open {seen.get('jobs_open', 0)}; "
        f"ledger height {seen.get('ledger_height', 0)}",
    ]
