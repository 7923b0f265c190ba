"""Where memories and multipliers go before nextpnr places the rest."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib.memory import Memory

from boards import flow
from boards.floorplan import MOST_PINS, arrange, couplings, sites
from boards.toolchain import NETLIST, SITES
from tests.boards.test_flow import Blinker

ROOM = {
    "RAM": ["X1/Y1/A", "X5/Y1/A", "X9/Y1/A", "X13/Y1/A"],
    "MUL": ["X1/Y4/M", "X9/Y4/M", "X20/Y4/M"],
}
SEED = 20276


def netlist(nets: dict[str, list[int | str]], kind: str = "RAM") -> dict[str, Any]:
    """Cells with a pin a net; those whose names begin with a capital are blocks."""
    return {
        name: {"type": kind if name[0].isupper() else "LUT4", "connections": {"P": bits}}
        for name, bits in nets.items()
    }


def test_springs_in_series_are_half_as_strong() -> None:
    names, strengths = couplings(netlist({"lut": [1, 2], "A": [1], "B": [2, "0"]}), ["RAM"])
    assert names == ["A", "B"]
    np.testing.assert_allclose(strengths, [[0, 0.5], [0.5, 0]], atol=1e-5)


@pytest.mark.parametrize("pins", [2, 3, 5])
def test_a_net_ties_every_two_of_its_pins_alike(pins: int) -> None:
    """A star of springs k / (k - 1) is a spring of 1 / (k - 1) between any two of its ends."""
    _, strengths = couplings(netlist({f"B{pin}": [7] for pin in range(pins)}), ["RAM"])
    expected = (1 - np.eye(pins)) / (pins - 1)
    np.testing.assert_allclose(strengths, expected, atol=1e-5)


def test_a_net_that_goes_everywhere_says_nothing() -> None:
    nets: dict[str, list[int | str]] = {f"lut{pin}": [1] for pin in range(MOST_PINS - 1)}
    nets |= {"A": [1, 2], "B": [1, 3], "C": [2]}
    _, strengths = couplings(netlist(nets), ["RAM"])
    expected = np.zeros((3, 3))
    expected[0, 2] = expected[2, 0] = 1
    np.testing.assert_allclose(strengths, expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_finds_the_best_of_all_arrangements(seed: int) -> None:
    """Of 4! / 1! times 3! / 1!: three memories and two multipliers."""
    kinds = ["RAM", "MUL", "RAM", "RAM", "MUL"]
    rng = np.random.default_rng(SEED + seed)
    half = np.triu(rng.random((5, 5)), 1)
    strengths = half + half.T

    def cost(names: list[str]) -> float:
        at = np.array([[int(part[1:]) for part in name.split("/")[:2]] for name in names])
        return float((strengths * np.abs(at[:, None] - at[None]).sum(axis=2)).sum())

    least = min(
        cost([ram[0], mul[0], ram[1], ram[2], mul[1]])
        for ram in permutations(ROOM["RAM"], 3)
        for mul in permutations(ROOM["MUL"], 2)
    )
    found = arrange(strengths, kinds, ROOM, seed=seed)
    assert all(name in ROOM[kind] for name, kind in zip(found, kinds, strict=True))
    assert len(set(found)) == len(found)
    assert cost(found) == pytest.approx(least)
    assert arrange(strengths, kinds, ROOM, seed=seed) == found


def test_says_which_blocks_are_too_many() -> None:
    with pytest.raises(ValueError, match="sites of MUL must be at least its 4 blocks, not 3"):
        arrange(np.zeros((4, 4)), ["MUL"] * 4, ROOM, seed=0)


def test_refuses_a_site_without_a_place() -> None:
    with pytest.raises(ValueError, match="a site must begin with its tile"):
        arrange(np.zeros((1, 1)), ["RAM"], {"RAM": ["EBR0"]}, seed=0)


class WithMemory(Blinker):
    """A memory of two blocks."""

    def result(self, m: Module, count: Signal) -> Signal:
        m.submodules.memory = memory = Memory(shape=unsigned(36), depth=1024, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [write.en.eq(1), write.addr.eq(count), write.data.eq(count.replicate(3))]
        m.d.comb += read.addr.eq(~count)
        return super().result(m, read.data.xor())


@pytest.mark.toolchain
def test_nextpnr_leaves_blocks_at_their_sites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "Top", WithMemory)
    design = flow.elaborate("ulx3s_85f", tmp_path)
    flow.synthesize(design)
    placed = flow.place(design, 1)
    there = sites(design.folder / SITES)
    assert {kind: len(set(names)) for kind, names in there.items()} == design.tools.blocks
    cells = json.loads((placed / NETLIST).read_text())["modules"]["top"]["cells"].values()
    fixed = [cell["attributes"]["BEL"] for cell in cells if cell["type"] in there]
    assert len(fixed) == 2 == len(set(fixed))
    config = (placed / "top.config").read_text()
    for site in fixed:
        column, row, _ = site.split("/")
        assert f"R{row[1:]}C{column[1:]}:" in config, site
