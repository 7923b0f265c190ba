"""Lets the registers of a unit stand still while there is nothing in it, in a simulation.

    whether the registers around the unit move --+
                                                 & --> whether the registers in the unit move
    active --------------------------------------+

A simulator evaluates what has a clock edge, so a unit without one costs it nothing. A part would
gain nothing, and lose its global clock: there the unit stays as it is.
"""

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
    return with_domain(m, active, platform, name=name)


def with_domain(m: Module, active: Value, platform: object, *, name: str) -> Elaboratable:
    """`m` with the domain `name` of what has nothing to do in cycles without `active`."""
    if not is_simulated(platform):
        return DomainRenamer({name: "sync"})(m)
    m.domains += (clock := ClockDomain(name, local=True, reset_less=True))
    # Amaranth takes the register that a condition depends on for a combinational loop.
    m.submodules.condition = Instance(CONDITION, i_i=ClockSignal() & active, o_o=clock.clk)
    return m
