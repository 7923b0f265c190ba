"""Neurons on a ring: every cycle L of them do a part of their time step, and STAGES rows are on it.

    currents --> I, v = 0 --+
                            v
    +--> v >> leak --> v - . --> . + I --> limit: u --> u - threshold --+--> counts
    |                                                                   +--> slopes
    +------------- v = u, or u - threshold where u reaches it <---------+
"""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import In, Out

from hw.activation import FIELD_BITS, limit, pipeline, registered
from hw.numbers import WORD_BITS
from hw.tile_memory import words

COUNT_BITS = 8
"""Bits of a number of time steps."""


class ResponseRing(wiring.Component):
    """A time step of sim.golden.units.respond for `lanes` neurons a cycle, each STAGES cycles.

    A row that enters in some cycle is back at the entrance STAGES cycles later; it then enters for
    the next step unless another one takes its place. Nothing is reset: what leaves before a row has
    entered is nobody's.

    Parameters
    ----------
    lanes: L, neurons of a row

    Members
    -------
    leak_shift, threshold: In, as in RESPOND; they hold still while a row is on the ring
    fresh: In, a row of `currents` enters, its potentials, counts and slopes 0
    currents: In, 16-bit words
    counts: Out, spikes of the row at the entrance
    slopes: Out, its steps with a potential above 0, without the last one
    """

    STAGES = 7

    def __init__(self, *, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(
            {
                "leak_shift": In(FIELD_BITS["leak_shift"]),
                "threshold": In(WORD_BITS - 1),
                "fresh": In(1),
                "currents": In(words(lanes)),
                "counts": Out(ArrayLayout(COUNT_BITS, lanes)),
                "slopes": Out(ArrayLayout(COUNT_BITS, lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for lane in range(self.lanes):
            self._lane(m, lane)
        return m

    def _lane(self, m: Module, lane: int) -> None:
        around = self.STAGES - 1
        potential, current = (
            Signal(signed(WORD_BITS), name=f"{name}_{lane}", reset_less=True)
            for name in ("potential", "current")
        )
        count, slope = (
            Signal(COUNT_BITS, name=f"{name}_{lane}", reset_less=True)
            for name in ("count", "slope")
        )
        currents = pipeline(m, current, around, f"current_{lane}")
        counted = pipeline(m, count, around, f"count_{lane}")[-1]
        sloped = pipeline(m, slope, around, f"slope_{lane}")[-1]

        potentials = pipeline(m, potential, 2, f"potential_{lane}")
        lost = registered(m, self._shifted(potential, (3, 2)), f"lost_most_{lane}")
        lost = registered(m, self._shifted(lost, (1, 0)), f"lost_{lane}")
        kept = (potentials[2] - lost)[:WORD_BITS].as_signed()
        kept = registered(m, kept, f"kept_{lane}")
        total = registered(m, kept + currents[3], f"total_{lane}")
        limited = registered(m, limit(total, WORD_BITS)[0], f"limited_{lane}")
        reached = registered(m, limited, f"reached_{lane}")
        positive = registered(m, limited > 0, f"positive_{lane}")
        above = (limited - self.threshold)[: WORD_BITS + 1].as_signed()
        above = registered(m, above, f"above_{lane}")
        spikes = above >= 0

        total_count, total_slope = (counted + spikes)[:COUNT_BITS], (sloped + positive)[:COUNT_BITS]
        m.d.comb += [self.counts[lane].eq(total_count), self.slopes[lane].eq(sloped)]
        rest = Mux(spikes, above[:WORD_BITS].as_signed(), reached)
        m.d.sync += [
            potential.eq(Mux(self.fresh, 0, rest)),
            current.eq(Mux(self.fresh, self.currents[lane], currents[-1])),
            count.eq(Mux(self.fresh, 0, total_count)),
            slope.eq(Mux(self.fresh, 0, total_slope)),
        ]

    def _shifted(self, value: Value, bits: tuple[int, ...]) -> Value:
        """`value` shifted right by those bits of the leak."""
        for bit in bits:
            value = Mux(self.leak_shift[bit], value >> (1 << bit), value)
        return value[:WORD_BITS].as_signed()
