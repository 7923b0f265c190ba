"""The serial core: where its memories hold what; lockstep holds all that it does against golden."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from hw.config import DeviceConfig, region_tiles
from hw.configurations import CONFIGURATIONS
from hw.isa import INPUT_BUFFERS, Region
from hw.serial_core import SAMPLES, SerialCore, places, sample_tiles
from hw.skewed_memory import SkewedMemory

SMALL = CONFIGURATIONS["up5k-4x2"]
SEED = 5


def drawn(count: int) -> list[DeviceConfig]:
    """Configurations with memories of any size."""
    print(f"seed {SEED}")
    random = np.random.default_rng(SEED)
    return [
        replace(
            SMALL,
            input_tiles=1 << int(random.integers(8)),
            target_tiles=1 << int(random.integers(8)),
            activation_tiles=int(random.integers(1, 130)),
            output_tiles=int(random.integers(1, 130)),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("region", SAMPLES)
def test_a_tile_is_found_by_or(region: Region) -> None:
    for config in (SMALL, *drawn(100)):
        place = places(config)[region]
        for tile in range(region_tiles(config)[region]):
            assert place | tile == place + tile, config


def test_a_buffer_is_found_by_or() -> None:
    for config in (SMALL, *drawn(100)):
        for region, size in (
            (Region.INPUT, config.input_tiles),
            (Region.TARGET, config.target_tiles),
        ):
            for front in range(INPUT_BUFFERS):
                for tile in (0, 1, size // 2, size - 1):
                    tile = min(tile, size - 1)
                    assert places(config)[region] | front * size | tile == (
                        places(config)[region] + front * size + tile
                    )


def test_regions_do_not_overlap() -> None:
    for config in (SMALL, *drawn(100)):
        sizes, found = region_tiles(config), places(config)
        assert set(found) == set(SAMPLES)
        regions = sorted(SAMPLES, key=lambda region: found[region])
        for before, after in pairwise(regions):
            assert found[before] + sizes[before] <= found[after]
        assert sample_tiles(config) == found[regions[-1]] + sizes[regions[-1]]


def test_the_smallest_wastes_no_tile() -> None:
    sizes = region_tiles(SMALL)
    assert sample_tiles(SMALL) == sum(sizes[region] for region in SAMPLES)


def test_latency_is_stated() -> None:
    assert SerialCore(config=SMALL).read_latency == SkewedMemory.READ_LATENCY == 1
