"""Registers that synthesis must not share, where a signal has more places to reach than time."""

from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Elaboratable,
    Module,
    ResetSignal,
    Signal,
    Value,
    ValueLike,
)

from hw.activity import is_simulated


def own_register(m: Module, value: ValueLike, name: str) -> Signal:
    """`value` a cycle later, in registers of its own, which a reset leaves alone.

    Synthesis would make one of all registers that hold the same, and give it their places to
    reach; the attribute `keep` (which `boards.yosys` hands on to the flip-flops) has it leave these
    alone.
    """
    register = Signal(Value.cast(value).shape(), name=name, reset_less=True, attrs={"keep": 1})
    m.d.sync += register.eq(value)
    return register


def own_reset(unit: Elaboratable, platform: object) -> Elaboratable:
    """`unit`, whose reset comes a cycle later, from a register of its own.

    For what is at rest in the first cycle after a reset. Simulated platforms have no resets.
    """
    if is_simulated(platform):
        return unit
    m = Module()
    near = ClockDomain("near", local=True)
    m.domains += near
    reset = Signal(init=1, name="own_reset", reset_less=True, attrs={"keep": 1})
    m.d.sync += reset.eq(ResetSignal())
    m.d.comb += [near.clk.eq(ClockSignal()), near.rst.eq(reset)]
    m.submodules.unit = DomainRenamer("near")(unit)
    return m
