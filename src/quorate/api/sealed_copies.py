"""The sealed copies of a result, as the user's own node keeps them. Nothing is opened here, so no key is needed."""

from __future__ import annotations

from typing import Any

from quorate.api.courier import Courier
from quorate.model.submission import ResultView
from quorate.node.config import home_folder


async def sealed_copies(job: str) -> list[dict[str, Any]]:
    """Member, digest and size of each copy. Raises NotFinished, or the JobError the job ended with."""
    courier = Courier(home_folder() / "node" / "door.sock")
    try:
        view = await courier.ask(f"/v1/jobs/{job}/result", ResultView)
        return [
            {
                "member": copy.member.hex(),
                "blob": copy.result_digest.hex(),
                "bytes": len(await courier.get(copy.result_digest)),
            }
            for copy in view.delivered
        ]
    finally:
        await courier.close()
