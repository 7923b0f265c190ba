"""LOSS of a serial device: mean squared error, one element of the output after the other.

    TARGET, OUTPUT --> x --> word t --+
                       |              v
                       +---> y --> |y - t| = d --> its bits, lowest first = digit
                                      |                   |
                   loss <-- + d -------------------------- +
                   high <-- + r -------------------------- +--> +-, round --> word --> DELTA
"""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import DeviceConfig, region_tiles, region_words
from hw.instruction import INSTRUCTION
from hw.isa import Region
from hw.numbers import WORD_BITS
from hw.statistics import ReportSignature
from hw.tile_memory import TileRead, WordWrite

SHIFT_BITS = 5
"""Bits of the shift: no loss needs more than 31."""
DISTANCE_BITS = WORD_BITS + 1
"""Bits of |y - t|, which is 2**16 for the most negative output where the target is 1.0 = 2**15."""


STROBES = data.StructLayout(
    dict.fromkeys(
        "clear label first second subtract fill negate shift begin stream check write "
        "row".split(),
        1,
    )
)
"""What is done in a cycle."""


STATES = data.StructLayout(
    dict.fromkeys(
        "label first second subtract sign shift ready stream check write next".split(), 1
    )
)


def loss_bits(config: DeviceConfig) -> int:
    """Bits of a command's loss: as many squares of at most 2**32 as OUTPUT has words.

    A square is 2**32 only where a one-hot target is 1, at one class of a sample, so that a sum of
    as many is not reached: a sample takes a row of L >= 2 words.
    """
    return ((region_words(config)[Region.OUTPUT] << 2 * WORD_BITS) - 1).bit_length()


def most_samples(config: DeviceConfig) -> int:
    """Samples of a command: a batch tile of B takes at least a tile of each memory."""
    tiles = min(config.output_tiles, config.target_tiles, config.delta_tiles)
    return tiles * config.batch_lanes


class SerialLossUnit(wiring.Component):
    """Executes LOSS without cross-entropy, to the bit as sim.golden.units.mean_squared_error.

    Two sums grow together, a digit of d = |y - t| a cycle from the lowest: the loss, to which
    d * d is added while it turns once round its register, and d * r, whose bits leave at the
    bottom. These get the sign of y - t, are rounded and shifted into the word that is written.

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
        config = self.config
        self._class_number = Signal(range(config.max_outputs))
        self._sample = Signal(range(most_samples(config) + 1))
        # A label that is no class has its highest bit set.
        self._label = Signal(len(self._class_number) + 1)
        self._at_label = Signal()
        self._word = Signal(WORD_BITS)
        self._one_hot = Signal()
        self._distance = Signal(DISTANCE_BITS)
        self._negative = Signal()
        self._step = Signal(range(loss_bits(config)))
        self._turning = Signal()
        self._bit, self._active = Signal(), Signal()
        self._overflow = Signal()
        self._x = Signal(WORD_BITS)
        self._do = Signal(STROBES)
        self._subtract(m)
        self._multiply(m)
        self._round(m)
        self._hold(m)
        self._place(m)
        self._count(m)
        self._sequence(m)
        return m

    def _subtract(self, m: Module) -> None:
        """distance = x - word, or word - x where that has been found to be negative."""
        left = Cat(Const(1, 1), self._word, self._word[-1] & ~self._one_hot)
        right = Cat(self._negative, ~self._x, ~self._x[-1])
        total = (left + right)[1:][:DISTANCE_BITS]
        with m.If(self._do.subtract):
            m.d.sync += self._distance.eq(total ^ (~self._negative).replicate(DISTANCE_BITS))

    def _multiply(self, m: Module) -> None:
        """Add a digit's multiples to the loss, which turns by a bit, and to the high sum."""
        loss, high = Signal(loss_bits(self.config)), Signal(WORD_BITS)
        step, digit = self._step, Signal()
        low, upper = step[:4], step[4:]
        top = self._distance[-1] & (low == 0) & (upper == 1)
        m.d.comb += [
            digit.eq(self._turning & (self._distance.bit_select(low, 1) & (upper == 0) | top)),
            self.loss.eq(loss),
        ]
        turned = Mux(digit, (loss + self._distance)[: len(loss)], loss)
        total = Mux(digit, high + self.instruction.gate, high)
        m.d.comb += self._bit.eq(total[0])
        last = step == len(loss) - 1
        with m.If(self._do.clear):
            m.d.sync += loss.eq(0)
        with m.Elif(self._turning):
            m.d.sync += loss.eq(turned.rotate_right(1))
        with m.If(self._turning):
            m.d.sync += high.eq(total[1:])
        with m.If(last | ~(self._turning | self._do.shift)):
            m.d.sync += step.eq(0)
        with m.Else():
            m.d.sync += step.eq(step + 1)
        with m.If(self._do.begin):
            m.d.sync += self._turning.eq(1)
        with m.Elif(last):
            m.d.sync += self._turning.eq(0)
        self._rest = high.any()

    def _round(self, m: Module) -> None:
        """The product's bits, with the sign of y - t, rounded: those of the word, in its turn."""
        seen, carry, started = Signal(), Signal(), Signal()
        signed_bit = self._bit ^ (self._negative & seen)
        m.d.comb += self._active.eq(started | (self._step == self.instruction.shift[:SHIFT_BITS]))
        with m.If(self._do.begin):
            m.d.sync += [seen.eq(0), carry.eq(0), started.eq(0)]
        with m.Elif(self._do.stream):
            m.d.sync += [
                seen.eq(seen | self._bit),
                carry.eq(signed_bit & (carry | ~self._active)),
                started.eq(self._active),
            ]
        self._in = signed_bit ^ carry
        above = carry ^ (self._negative & seen)
        m.d.comb += self._overflow.eq(self._rest | (above ^ self._word[-1]))

    def _hold(self, m: Module) -> None:
        """The word: what was read, a one-hot target, the delta as its bits come, or its bound."""
        do, word = self._do, self._word
        fill, bit, incoming, change = Signal(), Signal(), Signal(), Signal()
        move = do.stream & self._active | do.shift & ~self._turning
        m.d.comb += [
            fill.eq(do.fill | do.begin | do.check),
            # Which of two: move or load, or what to fill with.
            bit.eq(move | do.check & ~self._negative),
            incoming.eq(
                Mux(fill, Mux(do.check, self._negative, do.begin | self._at_label),
                do.stream & self._in)
            ),
            change.eq(do.first | do.fill | do.begin | move | do.check & self._overflow),
        ]
        with m.If(change):
            m.d.sync += word.eq(
                Cat(Mux(fill, bit, Mux(bit, word[k + 1], self._x[k])) for k in range(15))
            )
            m.d.sync += word[-1].eq(Mux(fill | bit, incoming, self._x[-1]))

    def _place(self, m: Module) -> None:
        """Where the words lie: first tile, a stride for every batch tile, the class in these."""
        i, do, config = self.instruction, self._do, self.config
        lane_bits, row_bits = (n.bit_length() - 1 for n in (config.lanes, config.batch_lanes))
        label = self._label[:-1]
        read_class = Mux(do.first & i.class_target, label, self._class_number)
        lane = self._sample[:row_bits]
        for port, first, stride, number in (
            (self.read_output, i.right_base, i.right_outer, read_class),
            (self.read_target, i.left_base + self.target_base, i.left_depth, self._class_number),
            (self.write, i.dest_base, i.dest_outer, self._class_number),
        ):
            tile = Signal(port.tile.shape(), name=f"{port.tile.name}_base")
            with m.If(do.clear):
                m.d.sync += tile.eq(first)
            with m.Elif(do.row & lane.all()):
                m.d.sync += tile.eq(tile + stride)
            m.d.comb += port.tile.eq(tile + number[lane_bits:])
            if port is not self.write:
                m.d.comb += [port.index.eq(number), port.column.eq(1)]
        even, odd = (
            [Array(port.data[k] for k in range(part, config.batch_lanes, 2))[lane[1:]]
            for port in (self.read_output, self.read_target)]
            for part in (0, 1)
        )
        # Two tables a bit choose one of four words, the second by what the first passes on. Were
        # both strobes one, synthesis would find the plain tree of three.
        for k, x in enumerate(self._x):
            first = Mux(self.read_output.enable, Mux(lane[0], odd[0][k], even[0][k]), lane[0])
            second = Mux(first, odd[1][k], even[1][k])
            m.d.comb += x.eq(Mux(self.read_target.enable, second, first))
        m.d.comb += [
            self.write.row.eq(lane),
            self.write.column.eq(self._class_number),
            self.write.data.eq(self._word),
            self.write.enable.eq(do.write),
        ]

    def _count(self, m: Module) -> None:
        """The command's results."""
        elements = region_words(self.config)[Region.OUTPUT]
        correct, saturations = Signal.like(self._sample), Signal(range(elements + 1))
        passed, hit = Signal(), Signal()
        do, x, label_bits = self._do, self._x, len(self._label) - 1
        m.d.comb += [
            self.samples.eq(self._sample),
            self.correct.eq(correct),
            self.report.valid.eq(self.done),
            self.report.statistic.eq(self.instruction.statistic),
            self.report.amount.eq(saturations),
            self._at_label.eq(self._label == self._class_number),
        ]
        with m.If(do.label):
            m.d.sync += [
                self._label.eq(Cat(x[:label_bits], x[label_bits:].any())),
                passed.eq(0),
                hit.eq(self.instruction.class_target),
            ]
        with m.If(do.first & self._at_label):
            m.d.sync += passed.eq(1)
        # With y[label] in the word: other classes after the label may equal it.
        with m.If(do.fill & (self._distance[-1] == self._negative)):
            m.d.sync += hit.eq(0)
        with m.If(do.second):
            m.d.sync += self._negative.eq(passed & self.instruction.class_target)
        with m.Elif(do.fill):
            m.d.sync += self._negative.eq(0)
        with m.Elif(do.negate):
            m.d.sync += self._negative.eq(1)
        with m.If(do.first):
            m.d.sync += self._one_hot.eq(0)
        with m.Elif(do.fill):
            m.d.sync += self._one_hot.eq(1)
        with m.If(do.clear):
            m.d.sync += [self._sample.eq(0), correct.eq(0), saturations.eq(0)]
        with m.Else():
            m.d.sync += saturations.eq(saturations + (do.check & self._overflow))
            with m.If(do.row):
                m.d.sync += [
                    self._sample.eq(self._sample + 1),
                    correct.eq(correct + (passed & hit)),
                ]
        with m.If(do.row):
            m.d.sync += self._class_number.eq(0)
        with m.Elif(do.write):
            m.d.sync += self._class_number.eq(self._class_number + 1)

    def _sequence(self, m: Module) -> None:
        """The order of it all: a bit for every state, so that none is decoded."""
        i, do, sign = self.instruction, self._do, self._distance[-1]
        state = Signal(STATES)
        age, arrived = Signal(range(self.read_latency + 1)), Signal()
        reading = self.read_target.enable | self.read_output.enable
        m.d.comb += arrived.eq(age == self.read_latency)
        with m.If(arrived | ~reading):
            m.d.sync += age.eq(0)
        with m.Else():
            m.d.sync += age.eq(age + 1)

        final = self._sample == i.columns[: len(self._sample)]
        comparing = i.class_target & ~self._one_hot
        shifted = ~self._turning & (self._step[:4] == ~i.fraction)
        row = self._class_number == i.rows[: len(self._class_number)]
        finished = state.label & final & ~self._turning
        target = state.label & ~final & (arrived | ~i.class_target)
        complete = state.stream & self._active & self._word[0]
        again = state.sign & ~comparing & sign & ~self._negative
        m.d.comb += [
            do.clear.eq(self.start & ~self.busy),
            do.label.eq(state.label),
            do.first.eq(state.first),
            do.second.eq(state.second),
            do.subtract.eq(state.subtract),
            do.fill.eq(state.sign & comparing),
            do.negate.eq(again),
            do.shift.eq(state.shift & ~shifted),
            do.begin.eq(state.ready & ~self._turning),
            do.stream.eq(state.stream),
            do.check.eq(state.check),
            do.write.eq(state.write),
            do.row.eq(state.next & row),
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
            state.label.eq(do.clear | do.row | state.label & ~finished & ~target),
            state.first.eq(target | state.next & ~row | state.first & ~arrived),
            state.second.eq(state.first & arrived | state.second & ~arrived),
            state.subtract.eq(
                state.second & arrived
                | do.fill & ~self._at_label
                | again
                | state.shift & shifted
            ),
            state.sign.eq(state.subtract),
            state.shift.eq(do.fill & self._at_label | do.shift),
            state.ready.eq(state.sign & ~do.fill & ~again | state.ready & self._turning),
            state.stream.eq(do.begin | state.stream & ~complete),
            state.check.eq(complete),
            state.write.eq(state.check),
            state.next.eq(state.write),
            self.done.eq(finished),
        ]
        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.Elif(finished):
            m.d.sync += self.busy.eq(0)
