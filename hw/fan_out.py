"""Registers that synthesis must not share, where a signal has more places to reach than time."""

from amaranth.hdl import Module, Signal, Value, ValueLike


def own_register(m: Module, value: ValueLike, name: str) -> Signal:
    """`value` a cycle later, in registers of its own, which a reset leaves alone.

    Synthesis would make one of all registers that hold the same, and give it their places to
    reach; the attribute `keep` (which `boards.yosys` hands on to the flip-flops) has it leave these
    alone.
    """
    register = Signal(Value.cast(value).shape(), name=name, reset_less=True, attrs={"keep": 1})
    m.d.sync += register.eq(value)
    return register
