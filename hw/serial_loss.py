"""LOSS of a serial device: mean squared error, one element of the output after the other.

    instruction --> states --reads--> TARGET, OUTPUT
                      |                   | a word x of a column
                    strobes ---> SerialLossElement --> loss, word --> DELTA
                      |                   |
                      +--> samples, correct, saturations
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig, region_tiles, region_words
from hw.instruction import INSTRUCTION
from hw.isa import Region
from hw.serial_loss_element import SHIFT_BITS, SerialLossElement
from hw.statistics import ReportSignature
from hw.tile_memory import TileRead, WordWrite

STATES = data.StructLayout(
    dict.fromkeys(
        "label first second subtract sign shift ready stream check write next".split(), 1
    )
)
"""A bit for every state, so that none is decoded."""


def most_samples(config: DeviceConfig) -> int:
    """Samples of a command: a batch tile of B takes at least a tile of each memory."""
    tiles = min(config.output_tiles, config.target_tiles, config.delta_tiles)
    return tiles * config.batch_lanes


class SerialLossUnit(wiring.Component):
    """Executes LOSS without cross-entropy, to the bit as sim.golden.units.mean_squared_error.

    An element takes at most max(loss_bits + 2, shift + 2 read_latency + 30) cycles, a class
    target read_latency + loss_bits + 19 more for a sample, a command loss_bits + 3.

    A sample's answer is right if no class has a larger output than its own and none before that
    one an equal output: y[label] is read again for every class, so that no peak is kept.

    Parameters
    ----------
    config: the device's configuration, without cross-entropy
    read_latency: of the tile memories

    Members
    -------
    instruction, start: a command, taken when not `busy`; the instruction stays until `done`.
        Needs 1 <= rows <= max_outputs, 1 <= columns <= most_samples(config) and shift <= 31
    busy: a command is under way
    target_base: first tile of TARGET's front buffer; stays too
    read_output, read_target: ports of the tile memories, never both enabled
    write: port of DELTA
    done: strobe in the first cycle that is not busy any more; all words can be read in it, and
        `loss`, `correct` and `samples` hold the command's until the next one starts
    loss: sum over the samples, with 2 * fraction fraction bits
    correct: samples whose first largest output was their class; 0 without class_target
    report: how many deltas saturated

    Raises ValueError for a configuration with cross-entropy and a latency below 1.
    """

    def __init__(self, *, config: DeviceConfig, read_latency: int):
        if config.cross_entropy:
            raise ValueError(
                f"cross_entropy of configuration {config.name!r} must be off for a serial loss "
                f"unit, not {config.cross_entropy}"
            )
        if read_latency < 1:
            raise ValueError(
                f"read_latency of a serial loss unit must be at least 1, not {read_latency}"
            )
        self.config = config
        self.read_latency = read_latency
        self._element = SerialLossElement(config=config)
        tiles = region_tiles(config)
        super().__init__(
            {
                "instruction": In(INSTRUCTION),
                "start": In(1),
                "busy": Out(1),
                "target_base": In(range(tiles[Region.TARGET])),
                "read_output": Out(TileRead(tiles=tiles[Region.OUTPUT], lanes=config.lanes)),
                "read_target": Out(TileRead(tiles=tiles[Region.TARGET], lanes=config.lanes)),
                "write": Out(
                    WordWrite(
                        tiles=tiles[Region.DELTA], rows=config.batch_lanes, lanes=config.lanes
                    )
                ),
                "done": Out(1),
                "loss": Out(64),
                "correct": Out(16),
                "samples": Out(16),
                "report": Out(ReportSignature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.element = element = self._element
        i, state = self.instruction, Signal(STATES)
        class_number = Signal(range(self.config.max_outputs))
        sample = Signal(range(most_samples(self.config) + 1))
        # A label that is no class has its highest bit set.
        label = Signal(len(class_number) + 1)
        m.d.comb += [
            element.at_label.eq(label == class_number),
            element.residual.eq(i.gate),
            element.shift.eq(i.shift[:SHIFT_BITS]),
            element.fraction.eq(i.fraction),
            self.write.enable.eq(state.write),
            self.write.data.eq(element.word),
            self.loss.eq(element.loss),
            self.samples.eq(sample),
        ]
        row_end = Signal()
        m.d.comb += row_end.eq(state.next & (class_number == i.rows[: len(class_number)]))
        with m.If(row_end):
            m.d.sync += class_number.eq(0)
        with m.Elif(state.write):
            m.d.sync += class_number.eq(class_number + 1)
        with m.If(element.do.clear):
            m.d.sync += sample.eq(0)
        with m.Elif(row_end):
            m.d.sync += sample.eq(sample + 1)
        lane = sample[: self.config.batch_lanes.bit_length() - 1]
        self._read(m, lane)
        self._place(m, state, class_number, label, lane, row_end)
        self._count(m, state, label, row_end)
        self._sequence(m, state, sample, row_end)
        return m

    def _read(self, m: Module, lane: Value) -> None:
        """x: the sample's word of the column that is read, a cycle later.

        Two tables a bit choose one of four words, the second one by what the first passes on.
        Were both strobes the same signal, synthesis would return to the plain tree of three.
        """
        samples = range(self.config.batch_lanes)
        (even, odd), (even_target, odd_target) = (
            [Array(port.data[k] for k in samples[part::2])[lane[1:]] for part in (0, 1)]
            for port in (self.read_output, self.read_target)
        )
        for k, x in enumerate(self._element.x):
            first = Mux(self.read_output.enable, Mux(lane[0], odd[k], even[k]), lane[0])
            second = Mux(first, odd_target[k], even_target[k])
            m.d.sync += x.eq(Mux(self.read_target.enable, second, first))

    def _place(
        self,
        m: Module,
        state: data.View,
        class_number: Signal,
        label: Signal,
        lane: Value,
        row_end: Signal,
    ) -> None:
        """Where the words lie: first tile, a stride for every batch tile, the class in these."""
        i = self.instruction
        lane_bits = self.config.lanes.bit_length() - 1
        read_class = Mux(state.first & i.class_target, label[:-1], class_number)
        for port, first, stride, number in (
            (self.read_output, i.right_base, i.right_outer, read_class),
            (self.read_target, i.left_base + self.target_base, i.left_depth, class_number),
            (self.write, i.dest_base, i.dest_outer, class_number),
        ):
            tile = Signal(port.tile.shape(), name=f"{port.tile.name}_base")
            with m.If(self._element.do.clear):
                m.d.sync += tile.eq(first)
            with m.Elif(row_end & lane.all()):
                m.d.sync += tile.eq(tile + stride)
            m.d.comb += port.tile.eq(tile + number[lane_bits:])
            if port is not self.write:
                m.d.comb += [port.index.eq(number), port.column.eq(1)]
        m.d.comb += [self.write.row.eq(lane), self.write.column.eq(class_number)]

    def _count(self, m: Module, state: data.View, label: Signal, row_end: Signal) -> None:
        """The command's results."""
        element, x = self._element, self._element.x
        elements = region_words(self.config)[Region.OUTPUT]
        correct = Signal(range(most_samples(self.config) + 1))
        saturations = Signal(range(elements + 1))
        passed, hit = Signal(), Signal()
        m.d.comb += [
            element.swap.eq(passed & self.instruction.class_target),
            self.correct.eq(correct),
            self.report.valid.eq(self.done),
            self.report.statistic.eq(self.instruction.statistic),
            self.report.amount.eq(saturations),
        ]
        with m.If(state.label):
            label_bits = len(label) - 1
            m.d.sync += [
                label.eq(Cat(x[:label_bits], x[label_bits:].any())),
                passed.eq(0),
                hit.eq(self.instruction.class_target),
            ]
        with m.If(state.first & element.at_label):
            m.d.sync += passed.eq(1)
        # The word is y[label]: a class behind the label may be as large, one before it not.
        with m.If(element.do.fill & (element.below == element.negative)):
            m.d.sync += hit.eq(0)
        with m.If(element.do.clear):
            m.d.sync += [correct.eq(0), saturations.eq(0)]
        with m.Else():
            m.d.sync += saturations.eq(saturations + (state.check & element.overflow))
            with m.If(row_end):
                m.d.sync += correct.eq(correct + (passed & hit))

    def _sequence(
        self, m: Module, state: data.View, sample: Signal, row_end: Signal
    ) -> None:
        """The order of it all: words are read until they have come and are held until used."""
        i, element, do = self.instruction, self._element, self._element.do
        latency = self.read_latency + 1
        age, arrived = Signal(range(latency + 1)), Signal()
        m.d.comb += arrived.eq(age == latency)
        with m.If(arrived | ~(self.read_target.enable | self.read_output.enable)):
            m.d.sync += age.eq(0)
        with m.Else():
            m.d.sync += age.eq(age + 1)

        final = sample == i.columns[: len(sample)]
        finished = state.label & final & ~element.turning
        target = state.label & ~final & (arrived | ~i.class_target)
        comparing = i.class_target & ~element.one_hot
        again = state.sign & ~comparing & element.below & ~element.negative
        m.d.comb += [
            do.clear.eq(self.start & ~self.busy),
            do.load.eq(state.first),
            do.order.eq(state.second),
            do.subtract.eq(state.subtract),
            do.fill.eq(state.sign & comparing),
            do.negate.eq(again),
            do.shift.eq(state.shift & ~element.shifted),
            do.begin.eq(state.ready & ~element.turning),
            do.stream.eq(state.stream),
            do.check.eq(state.check),
            self.read_target.enable.eq(state.label | state.first & ~i.class_target),
            self.read_output.enable.eq(
                state.first & i.class_target
                | state.second
                | state.subtract
                | state.sign
                | state.shift
            ),
        ]
        m.d.sync += [
            state.label.eq(do.clear | row_end | state.label & ~finished & ~target),
            state.first.eq(target | state.next & ~row_end | state.first & ~arrived),
            state.second.eq(state.first & arrived | state.second & ~arrived),
            state.subtract.eq(
                state.second & arrived
                | do.fill & ~element.at_label
                | again
                | state.shift & element.shifted
            ),
            state.sign.eq(state.subtract),
            state.shift.eq(do.fill & element.at_label | do.shift),
            state.ready.eq(state.sign & ~do.fill & ~again | state.ready & element.turning),
            state.stream.eq(do.begin | state.stream & ~element.complete),
            state.check.eq(element.complete),
            state.write.eq(state.check),
            state.next.eq(state.write),
            self.done.eq(finished),
        ]
        with m.If(finished):
            m.d.sync += self.busy.eq(0)
        with m.Elif(self.start):
            m.d.sync += self.busy.eq(1)
