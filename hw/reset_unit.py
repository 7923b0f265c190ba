"""RESET: variables of a population become 0.

    rows of the population, one a cycle --[flag of its variable]--> 0 --> STATE
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.activity import while_active
from hw.config import DeviceConfig
from hw.layout import tiles
from hw.spiking import POPULATION_ROWS
from hw.spiking_ports import Command, StateWrite


class ResetUnit(wiring.Component):
    """Carries out RESET.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    command: rows >= 1; bit v of the flags for variable v
    state_write: to STATE
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        super().__init__({"command": In(Command()), "state_write": Out(StateWrite(config))})

    def cycles(self, *, rows: int) -> int:
        """Cycles from `start` to `done`."""
        return 1 + POPULATION_ROWS * tiles(rows, self.config.lanes)

    def elaborate(self, platform: object) -> Module:
        m, outer = Module(), Module()
        running = Signal()
        outer.d.sync += running.eq((running | self.command.start) & ~self.command.done)
        outer.submodules.rows = while_active(
            m, self.command.start | running, platform, name="reset"
        )
        instruction, write = self.command.instruction, self.state_write
        lane_bits = exact_log2(self.config.lanes)
        row = Signal.like(write.row, reset_less=True)
        variable = Signal(range(POPULATION_ROWS), reset_less=True)
        left = Signal(range(self.config.state_rows // POPULATION_ROWS + 1), reset_less=True)
        ragged = instruction.rows[:lane_bits].any()
        last = (left == 0) | (~ragged & (left == 1))
        walking, enable, done = Signal(), Signal(), Signal()
        place = Signal.like(write.row, name="place", reset_less=True)

        m.d.sync += [
            enable.eq(walking & (instruction.flags >> variable)[0]),
            place.eq(row),
            row.eq(row + 1),
            variable.eq(variable + 1),
            done.eq(0),
        ]
        with m.If(variable == POPULATION_ROWS - 1):
            m.d.sync += left.eq(left - 1)
            with m.If(walking & last):
                m.d.sync += [walking.eq(0), done.eq(1)]
        with m.If(self.command.start):
            m.d.sync += [
                walking.eq(1),
                row.eq(instruction.dest_base),
                variable.eq(0),
                left.eq(instruction.rows >> lane_bits),
            ]
        m.d.comb += [write.enable.eq(enable), write.row.eq(place), self.command.done.eq(done)]
        return outer
