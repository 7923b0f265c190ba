"""Skewed memories: every read and word against hw.layout, and nothing but block RAM under them."""

import pytest
from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from boards.yosys import cells, model
from hw.config import SPRAM_WORDS
from hw.numbers import WORD_BITS
from hw.single_port_memory import SinglePortMemory
from hw.skewed_memory import SkewedMemory, VectorRead, rotated
from hw.tile_memory import BOTH, TileHost, words
from sim.bench.runner import run_bench

SEED = 22


class HostedMemory(wiring.Component):
    """A memory of a serial core with the ports of a TileMemory, as the core makes them.

        read ---+--> memory --> rotated --> read.data, host.read_data
        host ---+

    Where `read` is not enabled, the host reads the word that it writes at other times.
    """

    def __init__(self, memory: SkewedMemory | SinglePortMemory):
        self.memory = memory
        self.rows, self.lanes = rows, lanes = memory.rows, memory.lanes
        tiles = memory.tiles
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
        m.submodules.memory = memory = self.memory
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


def check(memory: SkewedMemory | SinglePortMemory, models: str = "") -> None:
    run_bench(
        HostedMemory(memory),
        bench="sim.bench.bench_tile_memory",
        parameters={
            "tiles": memory.tiles,
            "rows": memory.rows,
            "lanes": memory.lanes,
            "reads": [kind.value for kind in BOTH],
            "writes": [],
            "offsets": True,
            "single_port": isinstance(memory, SinglePortMemory),
            "latency": memory.READ_LATENCY,
            "seed": SEED,
        },
        models=models,
    )


@pytest.mark.simulator
@pytest.mark.parametrize("kind", [SkewedMemory, SinglePortMemory])
@pytest.mark.parametrize(("tiles", "rows", "lanes"), [(5, 2, 4), (3, 8, 8)], ids=["5x2x4", "3x8x8"])
def test_reads_are_those_of_the_layout(
    kind: type[SkewedMemory] | type[SinglePortMemory], tiles: int, rows: int, lanes: int
) -> None:
    check(kind(tiles=tiles, rows=rows, lanes=lanes))


@pytest.mark.simulator
def test_blocks_of_spram_are_their_twin() -> None:
    memory = SinglePortMemory(tiles=5, rows=4, lanes=4, family="ice40")
    check(memory, model("SB_SPRAM256KA", "ice40"))


@pytest.mark.toolchain
def test_banks_are_block_memory() -> None:
    counts = cells(SkewedMemory(tiles=64, rows=4, lanes=4), "ice40")
    assert counts["SB_RAM40_4K"] == 4
    # Nothing makes up for a read of what is written: one flip-flop lets all words be 0 at first.
    assert sum(n for name, n in counts.items() if name.startswith("SB_DFF")) <= 1
    # That for each bit of the words, and for each bank its row of a column and its write enable.
    assert counts["SB_LUT4"] <= 4 * (WORD_BITS + 2 + 2)


@pytest.mark.toolchain
def test_banks_of_weights_are_large_memories() -> None:
    memory = SinglePortMemory(tiles=4096, rows=4, lanes=4, family="ice40")
    # Alone, without a table that would have to be mapped, it makes the WebAssembly Yosys give up.
    counts = cells(HostedMemory(memory), "ice40")
    assert counts["SB_SPRAM256KA"] == 4
    assert not any(name.startswith("SB_RAM") for name in counts)
    # What is rotated by, in a flip-flop each, and for each bit of a word the rotation.
    assert sum(n for name, n in counts.items() if name.startswith("SB_DFF")) == 2
    # Beside it whose tile it is, and for each bank its row and its write enable.
    assert counts["SB_LUT4"] <= 2 * 4 * WORD_BITS + 12 + 4 * (2 + 2)


@pytest.mark.toolchain
def test_a_twin_is_block_memory() -> None:
    counts = cells(SinglePortMemory(tiles=64, rows=4, lanes=4), "ice40")
    assert counts["SB_RAM40_4K"] == 4 and "SB_SPRAM256KA" not in counts


def test_refuses_more_than_a_block_of_spram_holds() -> None:
    assert SPRAM_WORDS == 4096 * 4
    with pytest.raises(ValueError, match="must have at most 16384 words, not 4097 tiles of 4 rows"):
        SinglePortMemory(tiles=4097, rows=4, lanes=4, family="ice40")
    assert SinglePortMemory(tiles=4097, rows=4, lanes=4).tiles == 4097
    with pytest.raises(ValueError, match="family must be one of .*, not 'xilinx'"):
        SinglePortMemory(tiles=1, rows=4, lanes=4, family="xilinx")  # type: ignore[arg-type]


def test_latencies_are_stated() -> None:
    assert SkewedMemory.READ_LATENCY == SinglePortMemory.READ_LATENCY == 1
