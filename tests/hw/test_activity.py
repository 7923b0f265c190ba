"""A unit that is clocked while it is active counts what it should, and no cycle else."""

import pytest
from amaranth.hdl import ClockDomain, ClockSignal, Module, Signal
from amaranth.sim import Simulator

from hw.activity import while_active


class SimulatedPlatform:
    simulated = True


def counter(count: Signal) -> Module:
    m = Module()
    m.d.sync += count.eq(count + 1)
    return m


def test_the_unit_itself_is_built_for_a_part():
    unit = object()
    assert while_active(unit, Signal(), None, name="counter") is unit


@pytest.mark.parametrize("after", [0, 1, 3])
def test_cycles_with_activity_and_those_after_them_count(after):
    active, count = Signal(), Signal(16)
    pattern = [0, 1, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    m = Module()
    m.domains.sync = ClockDomain(reset_less=True)
    m.domains.falling = falling = ClockDomain(reset_less=True, clk_edge="neg")
    m.d.comb += falling.clk.eq(ClockSignal())
    m.submodules.counter = while_active(
        counter(count), active, SimulatedPlatform(), name="counter", after=after
    )
    counts = []

    async def bench(ctx):
        for value in pattern:
            ctx.set(active, value)
            await ctx.tick()
            counts.append(ctx.get(count))

    simulator = Simulator(m)
    simulator.add_clock(1e-6, phase=0)
    simulator.add_testbench(bench)
    simulator.run()
    clocked = [any(pattern[max(0, k - after) : k + 1]) for k in range(len(pattern))]
    assert counts == [sum(clocked[: k + 1]) for k in range(len(pattern))]


def test_activity_within_activity_is_clocked_by_both():
    outer, inner, count = Signal(), Signal(), Signal(16)
    platform = SimulatedPlatform()
    m, around = Module(), Module()
    m.domains.sync = ClockDomain(reset_less=True)
    m.domains.falling = falling = ClockDomain(reset_less=True, clk_edge="neg")
    m.d.comb += falling.clk.eq(ClockSignal())
    around.submodules.counter = while_active(counter(count), inner, platform, name="inner")
    m.submodules.around = while_active(around, outer, platform, name="outer")
    counts = []

    async def bench(ctx):
        for k in range(16):
            ctx.set(outer, k // 2 % 2)
            ctx.set(inner, k // 3 % 2)
            await ctx.tick()
            counts.append(ctx.get(count))

    simulator = Simulator(m)
    simulator.add_clock(1e-6, phase=0)
    simulator.add_testbench(bench)
    simulator.run()
    clocked = [k // 2 % 2 and k // 3 % 2 for k in range(16)]
    assert counts == [sum(clocked[: k + 1]) for k in range(16)]
