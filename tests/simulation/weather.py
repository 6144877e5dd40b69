"""What goes wrong in a simulated world, as named ratios with their units. The default is fair weather.

Method: the options of TigerBeetle's packet simulator and the workloads of FoundationDB's tests.
"""

from __future__ import annotations

from dataclasses import dataclass

from quorate.adapters.transport.simulated import Faults
from quorate.errors import InvalidField
from quorate.model.units import Millis

PER_MILLE = ("drop_per_mille", "duplicate_per_mille", "reorder_per_mille", "slow_save_per_mille", "slow_run_per_mille")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """The network (messages lost, doubled, freed from their order, late), the machines (crashes, saves that take long),
    the links between groups (partitions) and the guests' hosts (slow runs, runs that die)."""

    drop_per_mille: int = 0
    duplicate_per_mille: int = 0
    reorder_per_mille: int = 0
    delay_ms_min: int = 1
    delay_ms_max: int = 4
    crashes_per_minute: int = 0
    """In the whole network; who crashes is drawn from all nodes, the sequencer among them."""
    down_ms_min: int = 50
    down_ms_max: int = 8_000
    partitions_per_minute: int = 0
    partition_ms_min: int = 500
    partition_ms_max: int = 12_000
    save_ms_min: int = 1
    save_ms_max: int = 6
    slow_save_per_mille: int = 0
    slow_save_ms: int = 400
    run_ms_min: int = 5
    run_ms_max: int = 400
    slow_run_per_mille: int = 0
    """Guests that take nearly all of their run limit on this machine."""
    worker_deaths_per_mille: int = 0
    """Runs that end as a failure of the machine, which votes for nothing."""

    def __post_init__(self) -> None:
        for name in (*PER_MILLE, "worker_deaths_per_mille"):
            if not 0 <= getattr(self, name) <= 1000:
                raise InvalidField(str(getattr(self, name)), field=name, limit="0 to 1000")
        for low, high in (
            ("delay_ms_min", "delay_ms_max"),
            ("save_ms_min", "save_ms_max"),
            ("run_ms_min", "run_ms_max"),
        ):
            if not 0 <= getattr(self, low) <= getattr(self, high):
                raise InvalidField(str(getattr(self, low)), field=low, limit=f"at most {high}")

    @property
    def network(self) -> Faults:
        return Faults(
            drop_per_mille=self.drop_per_mille,
            duplicate_per_mille=self.duplicate_per_mille,
            reorder_per_mille=self.reorder_per_mille,
            delay_ms_min=Millis(self.delay_ms_min),
            delay_ms_max=Millis(self.delay_ms_max),
        )
