"""Lets the registers of a unit stand still while there is nothing in it, in a simulation.

    whether the registers around the unit move --+
                                                 & --> whether the registers in the unit move
    active --------------------------------------+

A simulator evaluates what has a clock edge, so a unit without one costs it nothing. A part would
gain nothing, and lose its global clock: there the unit stays as it is.
"""

from collections.abc import Mapping

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Elaboratable,
    Instance,
    Module,
    Signal,
    Value,
)

CONDITION = "condition"
"""A module that a simulated platform has: its output `o` is its input `i`."""


def is_simulated(platform: object) -> bool:
    """Whether a design is elaborated for simulation alone.

    Such a platform has an attribute `simulated`, the module CONDITION and no resets, and the clock
    of a domain is a condition: its registers move at the end of each cycle in which it is 1.
    """
    return getattr(platform, "simulated", False)


def while_active(
    unit: Elaboratable, active: Value, platform: object, *, name: str, after: int = 0
) -> Elaboratable:
    """`unit`, clocked only in cycles with `active` and in the `after` cycles that follow each.

    It must make no difference to what `unit` does; on other than simulated platforms it is `unit`.

    Parameters
    ----------
    unit: whose registers are in the domain "sync"
    active: 1 in every cycle in which something enters `unit`
    platform: as elaborate gets it
    name: of the clock domain; what is within `unit` has another
    after: how long `unit` is not empty after that; in cycles of the unit around it, if that has
        this function's clock too
    """
    if not is_simulated(platform):
        return unit
    m = Module()
    if after:
        before = Signal(after, name=f"{name}_before")
        m.d.sync += before.eq(Cat(active, before))
        active = active | before.any()
    m.submodules.unit = DomainRenamer(name)(unit)
    return with_domains(m, {name: active}, platform)


def with_domains(m: Module, active: Mapping[str, Value], platform: object) -> Elaboratable:
    """`m` with domains by name: what is in one has nothing to do where its value is 0."""
    if not is_simulated(platform):
        return DomainRenamer(dict.fromkeys(active, "sync"))(m)
    for name, condition in active.items():
        m.domains += (clock := ClockDomain(name, local=True, reset_less=True))
        # Amaranth takes the register that a condition depends on for a combinational loop.
        m.submodules[f"{name}_condition"] = Instance(
            CONDITION, i_i=ClockSignal() & condition, o_o=clock.clk
        )
    return m


def stage(cycle: int) -> str:
    """The domain of the registers that a pipeline loads `cycle` cycles after something entered."""
    return f"stage_{cycle}"


def entered(unit: Elaboratable, *, latency: int, cycle: int | None = None) -> Elaboratable:
    """A pipeline of `latency` stages as a part of another, which it is entered in `cycle` of.

    Without `cycle` it is a part of something that has no stages, and moves in every cycle.
    """
    return DomainRenamer(
        {stage(k): "sync" if cycle is None else stage(k + cycle) for k in range(latency)}
    )(unit)
