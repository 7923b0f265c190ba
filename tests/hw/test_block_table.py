"""Block table: the twin, and the block of an ECP5, which nothing is added to."""

import pytest
from amaranth.hdl import Signal

from boards.yosys import cells
from hw.block_table import BlockTable
from hw.config import Family
from hw.ecp5_block import Port, ecp5_block
from hw.tables import LOGARITHM, SIGMOID
from sim.bench.runner import run_bench
from sim.rtl.cells import models


@pytest.mark.simulator
@pytest.mark.parametrize("family", ["behavioural", "ecp5"])
@pytest.mark.parametrize(("constants", "readers"), [(SIGMOID, 2), (LOGARITHM, 1), ((7, 3, 5), 2)])
def test_words(constants: tuple[int, ...], readers: int, family: Family) -> None:
    run_bench(
        BlockTable(constants, readers=readers, family=family),
        bench="sim.bench.bench_block_table",
        parameters={
            "constants": list(constants),
            "readers": readers,
            "latency": BlockTable.LATENCY,
            "seed": 34,
        },
        models=models("ecp5") if family == "ecp5" else "",
    )


@pytest.mark.toolchain
def test_a_block_is_all_there_is() -> None:
    counts = cells(BlockTable(SIGMOID, readers=2, family="ecp5"), "ecp5")
    assert {name: n for name, n in counts.items() if name != "$scopeinfo"} == {"DP16KD": 1}


@pytest.mark.parametrize(
    ("count", "readers", "error"),
    [
        (0, 1, "a table of a block must have 1 to 1024 constants, not 0"),
        (1025, 1, "a table of a block must have 1 to 1024 constants, not 1025"),
        (8, 3, "a table of a block must have 1 or 2 readers, not 3"),
    ],
)
def test_refuses_bad_parameters(count: int, readers: int, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        BlockTable([0] * count, readers=readers)


def test_a_block_holds_only_words_of_16_bits_from_the_start() -> None:
    port = Port(Signal(11))
    with pytest.raises(ValueError, match="only words of 16 bits can be given, not of 8"):
        ecp5_block(port, port, bits=8, words=[1])
