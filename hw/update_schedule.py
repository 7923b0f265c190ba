"""When the update unit does what: the cycles of a vector, and the registers that carry it."""

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Mux, Signal, Value

from hw.config import DeviceConfig
from hw.multiplier import Multiplier


class Line:
    """Tells which vector is where: one enters every `interval` cycles, in a cycle of phase 0."""

    def __init__(self, m: Module, interval: int):
        self.m = m
        self.interval = interval
        self._phase: Value = Const(1, 1)
        if interval > 1:
            self._phase = Signal(interval, init=1, name="phase")
            m.d.sync += self._phase.eq(self._phase.rotate_left(1))

    def at(self, cycle: int) -> Value:
        """Whether a vector that set out may now be in its cycle `cycle`."""
        return self._phase[cycle % self.interval]

    def choose(self, uses: Sequence[tuple[int, Value]]) -> Value:
        """Of pairs of a cycle and a value, the value of the vector that is in its cycle."""
        (_, chosen), *others = uses
        for cycle, value in others:
            chosen = Mux(self.at(cycle), value, chosen)
        return chosen


class Kept:
    """A value of a vector's cycle `cycle`, in registers that each keep it for an interval."""

    def __init__(self, line: Line, value: Value, cycle: int, name: str, *, reset: bool = False):
        self._line = line
        self._cycle = cycle
        self._name = name
        self._reset = reset
        self._registers = [value]

    def at(self, cycle: int) -> Value:
        """The value in the cycle `cycle`, which is not before that of the value itself."""
        line = self._line
        if cycle < self._cycle:
            raise ValueError(f"{self._name} must be used from cycle {self._cycle}, not {cycle}")
        index = -(-(cycle - self._cycle) // line.interval)
        while len(self._registers) <= index:
            before = self._registers[-1]
            name = f"{self._name}_{len(self._registers)}"
            after = Signal(before.shape(), name=name, reset_less=not self._reset)
            with line.m.If(line.at(self._cycle)):
                line.m.d.sync += after.eq(before)
            self._registers.append(after)
        return self._registers[index]


class Schedule:
    """The cycles of a vector's passage, of which cycle 0 is that in which it sets out.

    Attributes
    ----------
    DRAW: r0 is added to the gradient
    MOMENTUM: the momentum is there and enters the multiplier
    SUM: beta v is there and is added to the gradient
    FRESH: v' is there and enters the multiplier, by eta
    WEIGHT: the weight is there and enters the multiplier, by eta lambda
    STEP: eta v' is there and enters the shifter
    SHRINK: eta lambda w is there and enters the shifter
    FIRST, SECOND: the shifted step, the shifted shrinkage is subtracted
    LOAD: w and r1 are needed: in a register before the first subtraction, or in it
    LAST: the sum is there and is saturated
    WRITE: the new weights are there
    ADVANCE: the LFSRs step, when the vector after this one cannot need them yet
    """

    def __init__(self, config: DeviceConfig, read_latency: int):
        interval = config.update_interval
        self.MOMENTUM = read_latency
        self.SUM = read_latency + Multiplier.LATENCY
        # Without momentum nothing precedes v', which then waits for the weight.
        self.FRESH = self.SUM + 1 if config.momentum else max(1, read_latency - 1)
        self.WEIGHT = self.FRESH + 1
        self.STEP = self.FRESH + Multiplier.LATENCY
        self.SHRINK = self.WEIGHT + Multiplier.LATENCY
        self.FIRST, self.SECOND = self.STEP + 1, self.SHRINK + 1
        self.LOAD = self.FIRST if interval == 1 else self.FIRST - 1
        self.LAST = self.SECOND + 1
        self.WRITE = self.LAST + 1
        # As late as the sum lasts in a register, without one more for the wider gradient.
        needed = self.SUM if config.momentum else self.FRESH
        registers = max(0, -(-(needed - interval) // interval))
        self.DRAW = min(needed - 1, registers * interval)
        self.ADVANCE = self.DRAW + interval - 1
        if interval == 3:
            uses = [self.FRESH, self.WEIGHT] + [self.MOMENTUM] * config.momentum
            if len({cycle % 3 for cycle in uses}) < len(uses):
                raise ValueError(
                    f"the products of a lane need a multiplier latency of 3 modulo 3, "
                    f"not {Multiplier.LATENCY}"
                )
