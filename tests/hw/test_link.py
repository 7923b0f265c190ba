"""The link against its model in plain Python, with short and long frames and bus latencies."""

from dataclasses import asdict, replace

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.config import DeviceConfig, region_words
from hw.configurations import configuration
from hw.isa import IDENTITY_BYTES, Region
from hw.link import Link
from hw.link_executor import RequestExecutor
from hw.loader import Loader
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
@pytest.mark.parametrize(
    # Whatever reaches a simulated ecp5-8x8 comes through its link.
    "build", ["up5k-4x2", pytest.param("ecp5-8x8", marks=pytest.mark.demand)]
)
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


class SamplePath(wiring.Component):
    """A link whose samples go to a loader of 8-bit inputs without targets."""

    def __init__(self, *, config: DeviceConfig):
        self._config = config
        super().__init__(
            {
                "rx": In(stream.Signature(8)),
                "features": In(16),
                "input_stride": In(16),
                "release": In(1),
                "full": Out(1),
                "front_samples": Out(16),
                "tx": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.loader = loader = Loader(config=self._config)
        m.submodules.link = link = Link(
            config=self._config,
            identity=IDENTITY,
            regions=region_words(self._config),
            read_latency=6,
        )
        connect(m, flipped(self.rx), link.rx)
        connect(m, link.samples, loader.samples)
        m.d.comb += [
            link.credits.eq(loader.credits),
            link.overflow.eq(loader.overflow),
            loader.features.eq(self.features),
            loader.input_stride.eq(self.input_stride),
            loader.release.eq(self.release),
            self.full.eq(loader.full),
            self.front_samples.eq(loader.front_samples),
            self.tx.payload.eq(link.tx.payload),
            self.tx.valid.eq(link.tx.valid),
            link.tx.ready.eq(1),
        ]
        return m


@pytest.mark.simulator
@pytest.mark.toolchain
def test_loader_keeps_up_with_link() -> None:
    config = replace(configuration("up5k-4x2"), input_tiles=16)
    print(f"seed {SEED}")
    run_bench(
        SamplePath(config=config),
        bench="sim.bench.bench_sample_path",
        parameters={"config": asdict(config), "seed": SEED},
        seed=SEED,
    )


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
