"""What can be asked of the jail without going in. Inside: tests/hostile/test_escape.py."""

from pathlib import Path

import pytest

from quorate.errors import UnsupportedMachine
from quorate.execute import jail
from quorate.execute.report import machine_report


def test_this_machine_offers_layers_in_order():
    offered = jail.layers()
    assert list(offered) == [name for name in jail.LAYERS if name in offered]
    assert "rlimits" in offered


def test_probing_changes_nothing():
    status = Path("/proc/self/status")
    before = status.read_text() if status.exists() else ""
    jail.layers()
    after = status.read_text() if before else ""
    for field in ("NoNewPrivs", "Seccomp", "CapEff", "Uid"):
        picked = [[line for line in text.splitlines() if line.startswith(field + ":")] for text in (before, after)]
        assert picked[0] == picked[1]


@pytest.mark.parametrize(
    ("held", "lacking"),
    [
        (("rlimits", "seccomp"), []),
        (("rlimits", "landlock"), []),
        (("rlimits",), ["seccomp|landlock"]),
        (("seccomp", "landlock"), ["rlimits"]),
        ((), ["rlimits", "seccomp|landlock"]),
    ],
)
def test_the_default_minimum(held, lacking):
    assert jail.missing(held) == lacking


def test_a_missing_layer_is_refused_by_name():
    with pytest.raises(UnsupportedMachine, match="seccomp or landlock"):
        jail.require(("rlimits", "no_new_privs"))
    with pytest.raises(UnsupportedMachine, match="landlock"):
        jail.require(("rlimits", "seccomp"), ("rlimits", "landlock"))
    jail.require(("rlimits", "seccomp"))


def test_a_layer_that_does_not_exist_cannot_be_demanded():
    with pytest.raises(UnsupportedMachine, match="selinux"):
        jail.require(jail.LAYERS, ("selinux",))


def test_a_machine_without_a_table_has_no_jail(monkeypatch):
    monkeypatch.setattr(jail.platform, "machine", lambda: "riscv64")
    assert jail.machine_name() == ""
    assert set(jail.layers()) <= {"rlimits"}
    with pytest.raises(UnsupportedMachine):
        jail.require(jail.layers())


def test_report_agrees_with_the_probe():
    report = machine_report()
    assert {name for name, layer in report["layers"].items() if layer["state"] == "real"} == set(jail.layers())
    assert report["can_execute"] == (not jail.missing(jail.layers()))
    assert report["wasmtime"]["state"] == "real"


def test_report_on_another_machine_says_absent(monkeypatch):
    monkeypatch.setattr(jail.platform, "machine", lambda: "riscv64")
    report = machine_report()
    assert report["can_execute"] is False
    assert report["layers"]["seccomp"]["state"] == "absent"
