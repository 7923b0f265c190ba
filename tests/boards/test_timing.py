"""What is read from nextpnr's report of a placement."""

import json
from pathlib import Path

import pytest

from boards.timing import Hop, design_name, read_timing


def segment(kind: str, delay: float, cell: str) -> dict:
    return {"type": kind, "delay": delay, "from": {"cell": ""}, "to": {"cell": cell}}


REPORT = {
    "fmax": {
        "sync": {"achieved": 40.0, "constraint": 24.0},
        "oscillator": {"achieved": 100.0, "constraint": 12.0},
    },
    "critical_paths": [
        {"from": "async", "to": "posedge sync", "path": [segment("logic", 99, "x")]},
        {
            "from": "posedge sync",
            "to": "posedge sync",
            "path": [
                segment("clk-to-q", 1.0, "core.walk.index_SB_DFFE_Q_LC"),
                segment("routing", 2.0, "core.walk.index_SB_LUT4_I3_LC"),
                segment("logic", 0.5, "core.walk.index_SB_LUT4_I3_LC"),
                segment("routing", 3.0, "$nextpnr_ICESTORM_LC_26"),
                segment("routing", 4.0, "core.bank_0.0.0_RAM"),
                segment("setup", 0.25, "core.bank_0.0.0_RAM"),
            ],
        },
    ],
}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "timing.json"
    path.write_text(json.dumps(REPORT))
    return path


def test_reads_frequency_slack_and_path(report: Path) -> None:
    timing = read_timing(report, seed=7, megahertz=24)
    assert (timing.seed, timing.megahertz) == (7, 40.0)
    assert timing.slack == 1e3 / 24 - 1e3 / 40
    assert (timing.logic, timing.routing) == (1.75, 9.0)
    assert timing.path == (
        Hop(signal="core.walk.index", at=6.5),
        Hop(signal="core.bank_0", at=10.75),
    )


def test_slack_is_that_of_the_worst_clock(report: Path) -> None:
    assert read_timing(report, seed=1, megahertz=12).slack == 1e3 / 24 - 1e3 / 40


def test_a_clock_that_is_not_there_is_refused(report: Path) -> None:
    with pytest.raises(ValueError, match="a clock of 30 MHz, not sync 24 MHz, oscillator 12 MHz"):
        read_timing(report, seed=1, megahertz=30)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("core.array.update.total_SB_DFFESR_Q_14_D_SB_LUT4_O_LC", "core.array.update.total"),
        ("core.samples$154.bank_1.0.0_RAM", "core.samples.bank_1"),
        ("device.link.crc_TRELLIS_FF_Q_3", "device.link.crc"),
        ("$nextpnr_ICESTORM_LC_26", ""),
    ],
)
def test_cells_are_named_after_signals(cell: str, name: str) -> None:
    assert design_name(cell) == name
