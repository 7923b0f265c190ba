"""Tile memory: every access against hw.layout, and nothing but block RAM under it."""

import numpy as np
import pytest

from boards.yosys import cells
from hw.config import Family
from hw.layout import TensorLayout
from hw.numbers import WORD_BITS
from hw.tile_memory import BOTH, Access, TileMemory
from sim.bench.runner import run_bench

SEED = 21


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("tiles", "rows", "lanes", "reads", "writes"),
    [
        (5, 2, 4, BOTH, BOTH),
        (7, 8, 8, BOTH, BOTH),
        (3, 4, 8, [Access.COLUMN], [Access.ROW]),
    ],
    ids=["5x2x4", "7x8x8", "3x4x8"],
)
def test_accesses_are_those_of_the_layout(
    tiles: int, rows: int, lanes: int, reads: list[Access], writes: list[Access]
) -> None:
    run_bench(
        TileMemory(
            tiles=tiles, rows=rows, lanes=lanes, reads=reads, writes=writes
        ),
        bench="sim.bench.bench_tile_memory",
        parameters={
            "tiles": tiles,
            "rows": rows,
            "lanes": lanes,
            "reads": [kind.value for kind in reads],
            "writes": [kind.value for kind in writes],
            "offsets": False,
            "single_port": False,
            "latency": TileMemory.READ_LATENCY,
            "seed": SEED,
        },
    )


@pytest.mark.parametrize(("rows", "lanes"), [(2, 4), (4, 4), (8, 8), (8, 16)])
def test_rotation_is_a_permutation(rows: int, lanes: int) -> None:
    """Element i of an access lies in bank (i + index) mod L: what the rotation relies on."""
    layout = TensorLayout(
        base=0, rows=rows, columns=lanes, tile_rows=rows, lanes=lanes, stride=1
    ).addresses()
    for r in range(rows):
        np.testing.assert_array_equal(layout[r] % lanes, (np.arange(lanes) + r) % lanes)
        assert sorted(layout[r] % lanes) == list(range(lanes))
    for c in range(lanes):
        np.testing.assert_array_equal(layout[:, c] % lanes, (np.arange(rows) + c) % lanes)
        np.testing.assert_array_equal(layout[:, c] // lanes, np.arange(rows))


@pytest.mark.toolchain
@pytest.mark.parametrize(
    ("family", "tiles", "size", "block", "captured"),
    [("ice40", 48, 4, "SB_RAM40_4K", 1), ("ecp5", 64, 8, "DP16KD", 0)],
)
def test_banks_are_block_memory(
    family: Family, tiles: int, size: int, block: str, captured: int
) -> None:
    counts = cells(TileMemory(tiles=tiles, rows=size, lanes=size, family=family), family)
    assert counts[block] == size
    flip_flops = sum(n for name, n in counts.items() if name.startswith(("SB_DFF", "TRELLIS_FF")))
    # Rotated and written words, captured ones where blocks have no register, and for each bank and
    # port less than 12 bits of address, enable and rotation: nothing that makes up for an access of
    # one word by both ports.
    assert flip_flops < size * ((2 + captured) * WORD_BITS + 2 * 12)


def test_latencies_are_stated() -> None:
    assert (TileMemory.READ_LATENCY, TileMemory.WRITE_LATENCY, TileMemory.HOST_LATENCY) == (4, 1, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lanes": 6}, "lanes of a tile memory must be a power of two from 2 to 64, not 6"),
        ({"rows": 16}, "rows of a tile memory must be a power of two from 2 to 8, not 16"),
        ({"tiles": 0}, "tiles of a tile memory must be at least 1, not 0"),
        ({"reads": []}, "reads of a tile memory must be one or both of"),
    ],
)
def test_refuses_bad_parameters(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TileMemory(**{"tiles": 4, "rows": 8, "lanes": 8, **change})
