"""A provider that joins a mesh without looking whether it is a member: what an intruder would run who holds a
certificate of the network's authority but has no account. It writes `open.started` once it talks."""

from __future__ import annotations

import dataclasses
from typing import Any

from quorate.api import process
from quorate.node import wiring
from quorate.node.config import NodeConfig
from quorate.node.shell import Shell

STARTED = "open.started"


class OpenTransport(wiring.ZenohTransport):
    """Takes everyone for a member, itself first."""

    def __init__(self, settings: Any) -> None:
        super().__init__(dataclasses.replace(settings, members=None))


def build(config: NodeConfig) -> Shell:
    wiring.ZenohTransport = OpenTransport  # type: ignore[misc]
    node = wiring.build(config)
    start = node.start

    async def started() -> None:
        await start()
        (config.folder / STARTED).touch()

    node.start = started  # type: ignore[method-assign]
    return node


def main() -> None:
    process.build = build
    process.main()


if __name__ == "__main__":
    main()
