"""Lets the registers of a unit stand still while there is nothing in it, in a simulation.

    active --> open, from one falling edge to the next --+
                                                         & --> the unit's clock
    clock -----------------------------------------------+

A simulator evaluates what has a clock edge, so a unit without one costs it nothing. A part would
gain nothing, and lose its global clock: there the unit stays as it is.
"""

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Elaboratable,
    Module,
    Signal,
    Value,
)


def is_simulated(platform: object) -> bool:
    """Whether a design is elaborated for simulation alone.

    Such a platform has an attribute `simulated`, a domain "sync" that is never reset, and a domain
    "falling" of the falling edges of its clock.
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
    # What moves with a rising edge must not reach the gate before the clock has fallen.
    opened = Signal(name=f"{name}_open")
    m.d.falling += opened.eq(active)
    m.domains += (clock := ClockDomain(name, local=True, reset_less=True))
    m.d.comb += clock.clk.eq(ClockSignal() & opened)
    return m
