"""Skewed memory: every read and word against hw.layout, and nothing but block RAM under it."""

import pytest
from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from boards.yosys import cells
from hw.numbers import WORD_BITS
from hw.skewed_memory import SkewedMemory, VectorRead, rotated
from hw.tile_memory import BOTH, TileHost, words
from sim.bench.runner import run_bench

SEED = 22


class HostedMemory(wiring.Component):
    """A skewed memory with the ports of a TileMemory, as a serial core makes them.

        read ---+--> memory --> rotated --> read.data, host.read_data
        host ---+

    Where `read` is not enabled, the host reads the word that it writes at other times.
    """

    def __init__(self, *, tiles: int, rows: int, lanes: int):
        self.tiles, self.rows, self.lanes = tiles, rows, lanes
        read = VectorRead(tiles=tiles, lanes=lanes).members
        ports = {"enable": Out(1), **read, "data": In(words(lanes))}
        super().__init__(
            {
                "read": In(wiring.Signature(ports)),
                "host": In(TileHost(tiles=tiles, rows=rows, lanes=lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = SkewedMemory(
            tiles=self.tiles, rows=self.rows, lanes=self.lanes
        )
        lane_bits, row_bits = exact_log2(self.lanes), exact_log2(self.rows)
        bank, word = self.host.address[:lane_bits], self.host.address[lane_bits:]
        row, tile = word[:row_bits], word[row_bits:]
        m.d.comb += [
            memory.write.enable.eq(self.host.write_enable),
            memory.write.tile.eq(tile),
            memory.write.row.eq(row),
            memory.write.bank.eq(bank),
            memory.write.data.eq(self.host.write_data),
        ]
        with m.If(self.read.enable):
            for name in memory.read.signature.members:
                m.d.comb += getattr(memory.read, name).eq(getattr(self.read, name))
        with m.Else():
            m.d.comb += [
                memory.read.tile.eq(tile),
                memory.read.index.eq(row),
                memory.read.offset.eq(bank - row),
            ]
        shift = Signal(range(self.lanes))
        m.d.sync += shift.eq(memory.read.index + memory.read.offset)
        elements = rotated(m, Value.cast(memory.words), shift, self.lanes)
        m.d.comb += [
            Value.cast(self.read.data).eq(Cat(elements)),
            self.host.read_data.eq(elements[0]),
        ]
        return m


@pytest.mark.simulator
@pytest.mark.parametrize(("tiles", "rows", "lanes"), [(5, 2, 4), (3, 8, 8)], ids=["5x2x4", "3x8x8"])
def test_reads_are_those_of_the_layout(tiles: int, rows: int, lanes: int) -> None:
    run_bench(
        HostedMemory(tiles=tiles, rows=rows, lanes=lanes),
        bench="sim.bench.bench_tile_memory",
        parameters={
            "tiles": tiles,
            "rows": rows,
            "lanes": lanes,
            "reads": [kind.value for kind in BOTH],
            "writes": [],
            "offsets": True,
            "latency": SkewedMemory.READ_LATENCY,
            "seed": SEED,
        },
    )


@pytest.mark.toolchain
def test_banks_are_block_memory() -> None:
    counts = cells(SkewedMemory(tiles=64, rows=4, lanes=4), "ice40")
    assert counts["SB_RAM40_4K"] == 4
    # Nothing makes up for a read of what is written: one flip-flop lets all words be 0 at first.
    assert sum(n for name, n in counts.items() if name.startswith("SB_DFF")) <= 1
    # That for each bit of the words, and for each bank its row of a column and its write enable.
    assert counts["SB_LUT4"] <= 4 * (WORD_BITS + 2 + 2)


def test_latency_is_stated() -> None:
    assert SkewedMemory.READ_LATENCY == 1
