"""What configurations take of their parts: counted as a part counts, and within what it has."""

from dataclasses import replace

import pytest

from boards.resources import BESIDE, PARTS, Resources, count, resources
from hw.config import left_out
from hw.configurations import configuration


def cell(kind: str, inputs: dict[str, int], outputs: dict[str, int]) -> dict:
    pins = {**inputs, **outputs}
    return {
        "type": kind,
        "connections": {name: [bit] for name, bit in pins.items()},
        "port_directions": {n: "input" if n in inputs else "output" for n in pins},
    }


def test_a_table_and_its_only_flip_flop_share_a_cell() -> None:
    cells = {
        "shared": cell("SB_LUT4", {"I0": 2}, {"O": 3}),
        "q": cell("SB_DFF", {"D": 3}, {"Q": 4}),
        "seen": cell("SB_LUT4", {"I0": 4}, {"O": 5}),
        "r": cell("SB_DFFE", {"D": 5}, {"Q": 6}),
        "output": cell("SB_LUT4", {"I0": 6}, {"O": 7}),
        "s": cell("SB_DFFSR", {"D": 7}, {"Q": 8}),
        "alone": cell("SB_DFF", {"D": 8}, {"Q": 9}),
        "also": cell("SB_LUT4", {"I0": 5}, {"O": 10}),
    }
    ports = {"o": {"bits": [7, 10]}}
    taken = count({"modules": {"top": {"cells": cells, "ports": ports}}}, "ice40")
    assert taken == Resources(cells=4 + 4 - 1, flip_flops=4, multipliers=0, memories=0)


def test_says_what_is_exceeded() -> None:
    there = PARTS["iCE40UP5K"].there
    assert there.exceeded(there) == []
    taken = replace(there, cells=5300, memories=31)
    assert taken.exceeded(there) == ["cells: 5300 of 5280", "memories: 31 of 30"]


def test_a_part_keeps_room_beside_the_device() -> None:
    assert PARTS["iCE40UP5K"].available == replace(PARTS["iCE40UP5K"].there, cells=5280 - BESIDE)


def test_counts_cells_of_gowin() -> None:
    kinds = ["MUX2_LUT5", "RAM16SDP4", "MULT18X18", "DPX9B", "SPX9", "SDPB", "VCC"]
    cells = {kind: cell(kind, {}, {}) for kind in kinds}
    cells |= {
        "table": cell("LUT4", {"I0": 2}, {"F": 3}),
        "behind": cell("DFF", {"D": 3}, {"Q": 4}),
        "same": cell("DFFE", {"D": 3}, {"Q": 5}),
        "alone": cell("DFFRE", {"D": 4}, {"Q": 6}),
        "unkept": cell("LUT1", {"I0": 6}, {"F": 7}),
        "adder": cell("ALU", {"I0": 6}, {"SUM": 8, "COUT": 9}),
        "sum": cell("DFFR", {"D": 8}, {"Q": 10}),
        "carry": cell("ALU", {"I0": 9}, {"SUM": 11, "COUT": 12}),
    }
    taken = count({"modules": {"top": {"cells": cells, "ports": {}}}}, "gowin")
    # Of four flip-flops two have a cell to themselves; one adder's is lost.
    assert taken == Resources(cells=4 + 2 + 8, flip_flops=4 + 1 + 6, multipliers=1, memories=3)


def test_refuses_a_family_without_a_part() -> None:
    with pytest.raises(ValueError, match="must be one of ice40, ecp5, gowin to count"):
        resources(configuration("up5k-4x2").with_family("behavioural"))


def test_says_what_a_configuration_leaves_out() -> None:
    accumulation = "accumulated and clipped gradients"
    assert left_out(configuration("ecp5-8x8-spiking")) == (accumulation,)
    assert left_out(configuration("ecp5-8x8")) == (accumulation, "spiking neurons")
    assert left_out(configuration("ecp5-8x8-full")) == ("spiking neurons",)
    assert left_out(configuration("ecp5-8-spiking")) == ("backpropagation",)
    assert left_out(configuration("gw2a-4-spiking")) == ("granule cells", "backpropagation")
    small = left_out(configuration("up5k-2-spiking"))
    assert small[:2] == ("granule cells", "backpropagation") and "one by one" in small[2]
    up5k = left_out(configuration("up5k-4x2"))
    assert up5k[:2] == ("momentum", "sigmoid and tanh") and "upper 8" in up5k[-2]
    assert "overlap" in up5k[-1]


@pytest.mark.toolchain
@pytest.mark.parametrize(
    "name",
    ["up5k-4x2", "up5k-2-spiking", pytest.param("up5k-4x2-spram", marks=pytest.mark.demand)],
)
def test_up5k_fits(name: str) -> None:
    """The others take minutes each: `python -m boards.resources` counts them."""
    config = configuration(name)
    assert resources(config).exceeded(PARTS["iCE40UP5K"].available) == []
