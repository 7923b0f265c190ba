"""The link against its model in plain Python, with short and long frames and bus latencies."""

from dataclasses import asdict

import pytest

from hw.config import configuration, region_words
from hw.isa import IDENTITY_BYTES, Region
from hw.link import Link
from hw.link_executor import RequestExecutor
from sim.bench.runner import run_bench

SEED = 20264
IDENTITY = bytes(range(0x30, 0x30 + IDENTITY_BYTES))

BUILDS = {
    "up5k-4x2": (configuration("up5k-4x2"), 6, ".*"),
    # Damage to frames is the same in long ones, but takes longer to get over.
    "ecp5-8x8": (configuration("ecp5-8x8"), 1, "^(?!.*(every_flipped_bit|lost_and_doubled))"),
}


@pytest.mark.simulator
@pytest.mark.toolchain
@pytest.mark.parametrize("build", BUILDS)
def test_equals_model(build: str) -> None:
    config, read_latency, tests = BUILDS[build]
    regions = region_words(config)
    print(f"seed {SEED}")
    run_bench(
        Link(config=config, identity=IDENTITY, regions=regions, read_latency=read_latency),
        bench="sim.bench.bench_link",
        parameters={
            "config": asdict(config),
            "regions": {int(region): words for region, words in regions.items()},
            "read_latency": read_latency,
            "identity": IDENTITY.hex(),
            "overhead": RequestExecutor.OVERHEAD,
            "seed": SEED,
        },
        tests=tests,
        seed=SEED,
    )


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identity": b"short"}, "identity must be 16 bytes, not 5"),
        ({"read_latency": 0}, "read_latency must be at least 1, not 0"),
        ({"regions": {}}, "regions must hold at least one"),
        ({"regions": {Region.WEIGHT: -1}}, "words of region WEIGHT must be from 0 to 16777216"),
    ],
)
def test_refuses_bad_parameters(change: dict, message: str) -> None:
    config = configuration("up5k-4x2")
    good = {"identity": IDENTITY, "regions": region_words(config), "read_latency": 6}
    with pytest.raises(ValueError, match=message):
        Link(config=config, **{**good, **change})
