"""LossUnit: equals the golden units in every bit and takes the cycles it promises."""

from dataclasses import asdict, replace

import pytest

from hw.config import DeviceConfig
from hw.configurations import configuration
from hw.isa import Loss
from hw.loss_unit import LossUnit
from sim.bench.runner import run_bench

SMALL = DeviceConfig(
    name="small",
    lanes=4,
    batch_lanes=2,
    weight_tiles=4,
    input_tiles=4,
    target_tiles=5,
    activation_tiles=4,
    output_tiles=7,
    delta_tiles=11,
    max_outputs=17,
)


UNITS = {
    "ecp5-8x8": lambda: LossUnit(config=configuration("ecp5-8x8").with_family("behavioural")),
    "small": lambda: LossUnit(config=SMALL, read_latency=2, write_latency=3),
}


def costs(unit: LossUnit) -> dict[int, dict[str, int]]:
    """Cycles of a class, of a batch tile and of a command, as LossUnit's docstring has them."""
    samples = unit.config.batch_lanes
    end = unit.read_latency + 10 + max(unit.write_latency, 2)
    cross_entropy = {"class": 3, "tile": samples + 20, "command": end}
    squared = {"class": 2, "tile": max(samples - 1, 6), "command": end}
    return {Loss.CROSS_ENTROPY: cross_entropy, Loss.MEAN_SQUARED_ERROR: squared}


@pytest.mark.simulator
@pytest.mark.parametrize("name", UNITS)
def test_equals_golden_in_the_promised_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A model as large as this has a precompiled header, which make must be told how to include.
    monkeypatch.setenv("MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include")
    unit = UNITS[name]()
    for loss, cost in costs(unit).items():
        for rows, tiles in ((1, 1), (3, 1), (10, 4)):
            columns = tiles * unit.config.batch_lanes - 1
            expected = tiles * (cost["class"] * rows + cost["tile"]) + cost["command"]
            assert unit.cycles(rows=rows, columns=columns, loss=Loss(loss)) == expected
    parameters = {
        "config": asdict(unit.config),
        "read_latency": unit.read_latency,
        "write_latency": unit.write_latency,
        "costs": {str(int(loss)): cost for loss, cost in costs(unit).items()},
        "commands": 40,
    }
    run_bench(unit, bench="sim.bench.bench_loss_unit", parameters=parameters)


def test_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="read_latency of a loss unit must be at least 1, not 0"):
        LossUnit(config=SMALL, read_latency=0)
    with pytest.raises(ValueError, match="cross_entropy of configuration 'small' must be on"):
        replace(SMALL, cross_entropy=False)
