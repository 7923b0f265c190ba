"""Simulated, a unit that is clocked while it is active counts what it should, and no cycle else."""

from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw import activity
from hw.activity import while_active
from sim.rtl.build import build
from sim.rtl.simulation import Simulation

AFTER = (0, 1, 3)
OUTER, INNER = 1, 2
"""Bits of the byte that says what is active in a cycle."""


def counter(count: Signal) -> Module:
    m = Module()
    m.d.sync += count.eq(count + 1)
    return m


class Counters(wiring.Component):
    """Takes a byte a cycle, sends what has been counted before it.

    Counters `after` that many cycles of OUTER take turns in the byte that is sent, and then one
    within a unit: it counts with INNER, the unit around it is clocked with OUTER.
    """

    def __init__(self) -> None:
        super().__init__({"rx": In(stream.Signature(8)), "tx": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        active = self.rx.payload & self.rx.valid.replicate(8)
        m.d.comb += [self.rx.ready.eq(1), self.tx.valid.eq(1)]
        for place, after in enumerate(AFTER):
            count = Signal(8)
            m.submodules[f"after_{after}"] = while_active(
                counter(count), active[0], platform, name=f"after_{after}", after=after
            )
            with m.If(active[2:] == place):
                m.d.comb += self.tx.payload.eq(count)
        around, count = Module(), Signal(8)
        around.submodules.counter = while_active(counter(count), active[1], platform, name="inner")
        m.submodules.around = while_active(around, active[0], platform, name="outer")
        with m.If(active[2:] == len(AFTER)):
            m.d.comb += self.tx.payload.eq(count)
        return m


def counted(pattern: list[int], place: int) -> list[int]:
    """The counter at `place`, before each cycle of a pattern of OUTER and INNER."""
    sources = [Path(__file__), Path(activity.__file__)]
    library = build(Counters, name="test-activity", key="counters", sources=sources)
    with Simulation(library) as simulation:
        return [*simulation.exchange(bytes(byte | place << 2 for byte in pattern), len(pattern))]


def test_the_unit_itself_is_built_for_a_part() -> None:
    unit = object()
    assert while_active(unit, Signal(), None, name="counter") is unit


@pytest.mark.simulator
@pytest.mark.parametrize("place", range(len(AFTER)))
def test_cycles_with_activity_and_those_after_them_count(place: int) -> None:
    pattern = [0, 1, 0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    clocked = [any(pattern[max(0, k - AFTER[place]) : k + 1]) for k in range(len(pattern))]
    assert counted(pattern, place) == [sum(clocked[:k]) for k in range(len(pattern))]


@pytest.mark.simulator
def test_activity_within_activity_is_clocked_by_both() -> None:
    pattern = [OUTER * (k // 2 % 2) | INNER * (k // 3 % 2) for k in range(16)]
    clocked = [byte == OUTER | INNER for byte in pattern]
    assert counted(pattern, len(AFTER)) == [sum(clocked[:k]) for k in range(len(pattern))]
