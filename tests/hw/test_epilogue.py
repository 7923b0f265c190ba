"""The epilogue equals the golden units in every configuration, and is small enough for UP5K."""

from dataclasses import asdict, replace

import pytest

from hw.activation import ActivationUnit
from hw.config import DeviceConfig
from hw.configurations import configuration
from hw.epilogue import Epilogue
from sim.bench.runner import run_bench

LARGE = configuration("ecp5-8x8").with_family("behavioural")
SMALL = replace(LARGE, lanes=4, batch_lanes=2, sigmoid=False, dropout=False)
SPIKING = replace(
    configuration("ecp5-8x8-spiking").with_family("behavioural"), lanes=4, batch_lanes=4
)
CURVED = replace(SMALL, sigmoid=True, accumulator_width=33)
DROPPING = replace(CURVED, dropout=True, lanes=8)


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("config", "tag_width", "interval", "latency"),
    [
        pytest.param(SMALL, 5, 4, 13, id="4 lanes, one a cycle, no table"),
        pytest.param(CURVED, 1, 2, 21, id="4 lanes, two a cycle"),
        pytest.param(DROPPING, 2, 4, 23, id="8 lanes, two a cycle, dropout"),
        pytest.param(LARGE, 17, 1, 20, id="8 lanes a cycle, dropout"),
        pytest.param(SPIKING, 3, 1, 20, id="4 lanes a cycle, surrogate gradients"),
    ],
)
def test_equals_golden(config: DeviceConfig, tag_width: int, interval: int, latency: int) -> None:
    unit = Epilogue(config=config, tag_width=tag_width, interval=interval)
    assert (unit.LATENCY, unit.GATE_OFFSET) == (latency, 5)
    parameters = {
        "config": asdict(unit.config),
        "tag_width": unit.tag_width,
        "interval": unit.interval,
        "seed": 20240607,
    }
    run_bench(unit, bench="sim.bench.bench_epilogue", parameters=parameters)


def test_refuses_bad_parameters() -> None:
    with pytest.raises(ValueError, match="sigmoid of .* must be on, as surrogate gradients take"):
        Epilogue(config=replace(SPIKING, sigmoid=False, dropout=False), tag_width=1)
    with pytest.raises(ValueError, match="dropout of .* must be off without sigmoid"):
        replace(LARGE, sigmoid=False)
    with pytest.raises(ValueError, match="sigmoid must be on where dropout is"):
        ActivationUnit(lanes=2, sigmoid=False, family="behavioural", dropout=True)
    with pytest.raises(ValueError, match="sigmoid must be on where surrogate gradients are"):
        ActivationUnit(lanes=2, sigmoid=False, family="behavioural", surrogate=True)
    with pytest.raises(ValueError, match="tag_width must be at least 0, not -1"):
        Epilogue(config=SMALL, tag_width=-1)
    for interval in (0, 3, 8):
        with pytest.raises(ValueError, match=f"interval must divide lanes = 4, not {interval}"):
            Epilogue(config=SMALL, tag_width=1, interval=interval)
