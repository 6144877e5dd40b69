"""The entry of one process of a network: `python -m quorate.api.process FOLDER/config.json`. Ends on SIGTERM or SIGINT,
cleanly."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

from quorate.errors import QuorateError
from quorate.node.config import NodeConfig, load_config
from quorate.node.wiring import build


async def serve(config: NodeConfig) -> int:
    """Runs the node until it is asked to stop (0) or fails (1)."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    node = build(config)
    # Almost nothing here is cyclic garbage: looking for it often would cost more than the jobs themselves.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    await node.start()
    door = None
    if config.role == "requester":
        from quorate.api.rest import serve as open_door

        door = asyncio.ensure_future(open_door(node, config.folder / "door.sock"))  # type: ignore[arg-type]
    waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(node.failed()), *([door] if door else [])]
    done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    asked = waits[0] in done
    if door is not None and door in done and door.exception() is not None:
        print(f"quorate: {door.exception()}", file=sys.stderr)
    if door is not None:
        door.cancel()
        await asyncio.gather(door, return_exceptions=True)
    for wait in waits:
        wait.cancel()
    await node.close()
    return 0 if asked else 1


def _profiled(config: NodeConfig) -> int:
    """For `bench/`: writes a profile of the whole run into the folder that QUORATE_PROFILE names."""
    import cProfile

    profile = cProfile.Profile()
    try:
        return profile.runcall(asyncio.run, serve(config))
    finally:
        profile.dump_stats(Path(os.environ["QUORATE_PROFILE"]) / f"{config.name}.prof")


def main() -> None:
    if not __debug__:
        sys.exit("quorate: refuses to run with assertions switched off (-O)")
    try:
        config = load_config(Path(sys.argv[1]))
        code = _profiled(config) if os.environ.get("QUORATE_PROFILE") else asyncio.run(serve(config))
    except QuorateError as fault:
        sys.exit(f"quorate: {fault}")
    sys.exit(code)


if __name__ == "__main__":
    main()
