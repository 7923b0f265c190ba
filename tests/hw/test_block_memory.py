"""Block memory: the twin, and the blocks of an ECP5 in every width, which nothing is added to."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from boards.yosys import cells
from hw.block_memory import BlockMemory
from hw.config import Family
from hw.numbers import WORD_BITS
from sim.bench.runner import run_bench
from sim.rtl.cells import models

SEED = 33
DEPTHS = {512: 1, 1025: 2, 4096: 4, 8192: 8, 16384: 16}
"""Blocks that so many words take."""


class Whole(wiring.Component):
    """A block memory's reader and writer under one clock."""

    def __init__(self, *, depth: int, family: Family):
        self.memory = BlockMemory(depth=depth, family=family)
        super().__init__(
            {
                "read_address": In(range(depth)),
                "word": Out(WORD_BITS),
                "write_enable": In(1),
                "write_address": In(range(depth)),
                "write_data": In(WORD_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reader = self.memory.reader()
        m.submodules.writer = self.memory.writer()
        m.d.comb += [
            self.memory.read_address.eq(self.read_address),
            self.word.eq(self.memory.word),
            self.memory.write_enable.eq(self.write_enable),
            self.memory.write_address.eq(self.write_address),
            self.memory.write_data.eq(self.write_data),
        ]
        return m


def check(depth: int, family: Family, text: str = "") -> None:
    run_bench(
        Whole(depth=depth, family=family),
        bench="sim.bench.bench_block_memory",
        parameters={"depth": depth, "latency": BlockMemory.READ_LATENCY, "seed": SEED},
        models=text,
    )


@pytest.mark.simulator
@pytest.mark.parametrize("depth", [1, 300])
def test_twin(depth: int) -> None:
    check(depth, "behavioural")


@pytest.mark.simulator
@pytest.mark.parametrize("depth", DEPTHS)
def test_blocks(depth: int) -> None:
    check(depth, "ecp5", models("ecp5"))


@pytest.mark.toolchain
def test_blocks_are_all_there_is() -> None:
    counts = cells(Whole(depth=8192, family="ecp5"), "ecp5")
    assert {name: n for name, n in counts.items() if name != "$scopeinfo"} == {"DP16KD": 8}


@pytest.mark.parametrize(
    ("depth", "family", "primitive"),
    [(512, "behavioural", False), (512, "gowin", False), (16384, "ecp5", True)],
)
def test_blocks_are_used_where_there_are_some(
    depth: int, family: Family, primitive: bool
) -> None:
    assert BlockMemory(depth=depth, family=family).primitive is primitive
    assert not BlockMemory(depth=16385, family="ecp5").primitive


def test_refuses_bad_parameters() -> None:
    with pytest.raises(ValueError, match="a block memory must have at least 1 word, not 0"):
        BlockMemory(depth=0)
    with pytest.raises(ValueError, match="family must be one of .*, not 'xilinx'"):
        BlockMemory(depth=8, family="xilinx")  # type: ignore[arg-type]
