"""Multiplier: the twin, and the models of the blocks, are exact; each family is one block."""

import pytest

from boards import yosys
from boards.yosys import model
from hw.config import Family
from hw.multiplier import Multiplier
from sim.bench.runner import run_bench
from sim.rtl import cells

BLOCKS: dict[Family, str] = {"ice40": "SB_MAC16", "ecp5": "MULT18X18D", "gowin": "MULT18X18"}
CONSTANTS = {"GND", "VCC"}


def check(multiplier: Multiplier, models: str = "") -> None:
    parameters = {
        "a_width": multiplier.a_width,
        "b_width": multiplier.b_width,
        "latency": Multiplier.LATENCY,
    }
    bench = "sim.bench.bench_multiplier"
    run_bench(multiplier, bench=bench, parameters=parameters, models=models)


@pytest.mark.simulator
def test_twin_is_exact() -> None:
    check(Multiplier(a_width=18, b_width=16))


@pytest.mark.simulator
@pytest.mark.parametrize("b_width", [3, 17])
def test_cells_are_exact(b_width: int) -> None:
    check(Multiplier(a_width=16, b_width=b_width, family="ecp5", fabric=True))


@pytest.mark.simulator
@pytest.mark.parametrize("family", BLOCKS)
def test_block_is_exact(family: Family) -> None:
    text = cells.models(family)
    block = BLOCKS[family]
    if f"module {block} " not in text:
        text += model(block, family)
    check(Multiplier(a_width=16, b_width=12, family=family), text)


@pytest.mark.toolchain
@pytest.mark.parametrize("family", BLOCKS)
def test_a_family_takes_one_block_and_nothing_else(family: Family) -> None:
    counts = yosys.cells(Multiplier(a_width=16, b_width=16, family=family), family)
    assert {name: n for name, n in counts.items() if name not in CONSTANTS} == {BLOCKS[family]: 1}


@pytest.mark.parametrize(
    ("arguments", "primitive"),
    [
        ({"family": "behavioural", "a_width": 16}, False),
        ({"family": "ice40", "a_width": 16}, True),
        ({"family": "ice40", "a_width": 17}, False),
        ({"family": "ecp5", "a_width": 18}, True),
        ({"family": "ecp5", "a_width": 16, "fabric": True}, False),
    ],
)
def test_block_is_used_where_it_fits(arguments: dict, primitive: bool) -> None:
    assert Multiplier(b_width=16, **arguments).primitive is primitive


def test_refuses_bad_parameters() -> None:
    with pytest.raises(ValueError, match="a_width of a multiplier must be from 2 to 18, not 19"):
        Multiplier(a_width=19, b_width=16)
    with pytest.raises(ValueError, match="family must be one of .*, not 'xilinx'"):
        Multiplier(a_width=16, b_width=16, family="xilinx")  # type: ignore[arg-type]
