"""Turns the bytes of a batch into rows of INPUT and TARGET tiles, in two buffers by turns.

    samples --> low, high byte --> shift --> word -----> input, target: data
                place in sample --> lane, row, tile ---> input, target: mask, index, tile
                end of batch ----> full, samples ------> front, front_samples, credits

A sample is FEATURES inputs and then TARGETS targets. Sample s, feature f goes to

    tile buffer * tiles + (s // B) * stride + f // L, row s % B, column f % L
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import DeviceConfig
from hw.isa import INPUT_BUFFERS, SAMPLE_SHIFT_LOW, SampleFormat
from hw.loader_cursor import TileCursor
from hw.numbers import WORD_BITS

SAMPLE_BYTE = data.StructLayout({"data": 8, "end": 1})
"""A byte of a batch; or, with `end`, no byte but the end of the batch."""

SAMPLE_FORMAT_BITS = SAMPLE_SHIFT_LOW + 4


class TileRowWrite(wiring.Signature):
    """Writes words of one row of a tile: those columns whose bit in `mask` is set.

    Members
    -------
    mask: a bit a lane; 0 writes nothing
    tile, index: the tile and the row in it
    data: L words
    """

    def __init__(self, *, tiles: int, rows: int, lanes: int):
        super().__init__(
            {
                "mask": Out(lanes),
                "tile": Out(range(tiles)),
                "index": Out(range(rows)),
                "data": Out(data.ArrayLayout(WORD_BITS, lanes)),
            }
        )


class Loader(wiring.Component):
    """Fills sample buffers, a byte a cycle, and hands them over one by one.

    An element that would lie outside its buffer is dropped, the rest of its batch is not. Samples
    that lack bytes when the batch ends are not counted; what came of them has been written. Bytes
    are shifted left as they are: what leaves the word is lost. A word is written `LATENCY` cycles
    after its last byte was accepted, before its batch is `full`.

    Members
    -------
    samples: the batch; ready unless no buffer is free, or in the two cycles after an end, in that
        after a `clear` or after the release that frees one
    features, targets: words of a sample, either may be 0
    sample_format: the register SAMPLE_FORMAT
    input_stride, target_stride: tiles from one batch tile to the next
    input, target: to the memories, all registered
    clear: forget everything, also the bytes of a batch that has begun
    release: the front buffer is empty again and the other one becomes the front
    full: the front buffer holds a batch
    front, front_samples: its index, its number of samples; all ones for any number that is larger
        than the samples which a buffer has rows for
    credits: buffers that do not hold a batch, among them the one that is being loaded; right two
        cycles after an end was accepted
    overflow: the batch that is being loaded has elements outside the buffer, or no words at all in
        a sample; right three cycles after a byte was accepted

    Registers must stay as they are from the first byte of a batch to its end.
    """

    LATENCY = 3

    def __init__(self, *, config: DeviceConfig):
        self._config = config
        writes = {
            name: Out(
                TileRowWrite(
                    tiles=INPUT_BUFFERS * tiles, rows=config.batch_lanes, lanes=config.lanes
                )
            )
            for name, tiles in (("input", config.input_tiles), ("target", config.target_tiles))
        }
        super().__init__(
            {
                "samples": In(stream.Signature(SAMPLE_BYTE)),
                "features": In(16),
                "targets": In(16),
                "sample_format": In(SAMPLE_FORMAT_BITS),
                "input_stride": In(16),
                "target_stride": In(16),
                **writes,
                "clear": In(1),
                "release": In(1),
                "full": Out(1),
                "front": Out(range(INPUT_BUFFERS)),
                "front_samples": Out(range(2 * _most_samples(config))),
                "credits": Out(range(INPUT_BUFFERS + 1)),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._void = Signal()  # a sample has no words
        # Registered, as the link takes a good part of a cycle to tell whether there is a byte.
        self._byte = Signal()  # a byte was accepted
        self._end = Signal()  # an end was accepted
        self._data = Signal(8, reset_less=True)
        self._restart = Signal()  # the first byte of a batch has yet to come
        self._target = Signal()  # this word is a target
        self._wide = Signal()  # it has two bytes
        self._word_end = Signal()
        self._phase_end = Signal()  # last input or last target
        self._sample_end = Signal()
        self._fill = Signal(range(INPUT_BUFFERS))
        # What has been found of a word, a cycle later: the way to where it goes is long.
        found = {
            name: getattr(self, f"_{name}")
            for name in "void target restart byte word_end phase_end sample_end".split()
        }
        self._placed = Signal(data.StructLayout(dict.fromkeys(found, 1)))
        m.d.sync += [self._placed[name].eq(value) for name, value in found.items()]
        self._buffers(m)
        self._sample_place(m)
        self._tile_place(m)
        self._word(m)
        return m

    def _buffers(self, m: Module) -> None:
        """Which buffers are full, with how many samples; which one is filled, which one read."""
        full = Signal(INPUT_BUFFERS)
        counts = [
            Signal(len(self.front_samples), name=f"samples_{i}") for i in range(INPUT_BUFFERS)
        ]
        fresh, settled = Signal(init=1), Signal()
        end = self.samples.p.end
        accepted = self.samples.valid & self.samples.ready
        m.d.sync += [
            self._byte.eq(accepted & ~end & ~self.clear),
            self._end.eq(accepted & end & ~self.clear),
            self._data.eq(self.samples.p.data),
        ]
        m.d.comb += [
            self.samples.ready.eq(settled & ~self._end),
            self._restart.eq(fresh & ~self._byte & ~full.bit_select(self._fill, 1)),
            self.full.eq(full.bit_select(self.front, 1)),
            self.front_samples.eq(Array(counts)[self.front]),
            self.credits.eq(INPUT_BUFFERS - sum(full)),
        ]
        with m.If(self._restart):
            m.d.sync += settled.eq(1)
        with m.If(self._byte):
            m.d.sync += fresh.eq(0)
        for buffer, count in enumerate(counts):
            with m.If(self._fill == buffer):
                with m.If(self._placed.sample_end & ~count.all()):
                    m.d.sync += count.eq(count + 1)
                with m.If(self._placed.restart):
                    m.d.sync += count.eq(0)
        with m.If(self._end):
            m.d.sync += [
                full.bit_select(self._fill, 1).eq(1),
                self._fill.eq(self._fill + 1),
                fresh.eq(1),
                settled.eq(0),
            ]
        with m.If(self.release & self.full):
            m.d.sync += [full.bit_select(self.front, 1).eq(0), self.front.eq(self.front + 1)]
        with m.If(self.clear):
            m.d.sync += [full.eq(0), self._fill.eq(0), self.front.eq(0), fresh.eq(1), settled.eq(0)]

    def _sample_place(self, m: Module) -> None:
        """Count bytes and words; find the ends of words, of inputs or targets, of samples.

        What the next word is, is known when a word ends. A batch's first byte comes two cycles
        after `_restart` began, or later: in the first one the registers are looked at.
        """
        has_features, has_targets = Signal(), Signal()
        one_feature, one_target = Signal(), Signal()
        half, to_target = Signal(), Signal()
        left = Signal(16)  # words of the inputs or targets, with this one
        last, sample_last = Signal(), Signal()  # it is the last one of them, of its sample
        formats = self.sample_format
        m.d.comb += [
            self._void.eq(~(has_features | has_targets)),
            self._word_end.eq(self._byte & ~self._void & (half | ~self._wide)),
            self._phase_end.eq(self._word_end & last),
            self._sample_end.eq(self._word_end & sample_last),
            to_target.eq(
                Mux(self._restart, ~has_features, has_targets & ~(self._target & has_features))
            ),
        ]
        with m.If(self._byte):
            m.d.sync += half.eq(~half & self._wide)
        with m.If(self._word_end):
            final = left == 2
            m.d.sync += [
                left.eq(left - 1),
                last.eq(final),
                sample_last.eq(final & (self._target | ~has_targets)),
            ]
        with m.If(self._phase_end | self._restart):
            one = Mux(to_target, one_target, one_feature)
            m.d.sync += [
                left.eq(Mux(to_target, self.targets, self.features)),
                last.eq(one),
                sample_last.eq(one & (to_target | ~has_targets)),
                self._target.eq(to_target),
                self._wide.eq(
                    Mux(
                        to_target,
                        formats[SampleFormat.WIDE_TARGET],
                        formats[SampleFormat.WIDE_INPUT],
                    )
                ),
            ]
        with m.If(self._restart):
            m.d.sync += [
                has_features.eq(self.features.any()),
                has_targets.eq(self.targets.any()),
                one_feature.eq(self.features == 1),
                one_target.eq(self.targets == 1),
                half.eq(0),
            ]

    def _tile_place(self, m: Module) -> None:
        """Count lanes, tiles and rows; write unless the tile is outside the buffer."""
        config, now = self._config, self._placed
        lane = Signal(config.lanes, init=1)
        row = Signal(exact_log2(config.batch_lanes))
        with m.If(now.word_end):
            m.d.sync += lane.eq(lane.rotate_left(1))
        with m.If(now.phase_end):
            m.d.sync += lane.eq(1)
        with m.If(now.sample_end):
            m.d.sync += row.eq(row + 1)
        with m.If(now.restart):
            m.d.sync += [lane.eq(1), row.eq(0), self.overflow.eq(0)]
        with m.If(now.byte & now.void):
            m.d.sync += self.overflow.eq(1)

        for name, chosen, write, stride, tiles in (
            ("input", ~now.target, self.input, self.input_stride, config.input_tiles),
            ("target", now.target, self.target, self.target_stride, config.target_tiles),
        ):
            m.submodules[f"{name}_cursor"] = cursor = TileCursor(tiles=tiles)
            here = now.word_end & chosen
            m.d.comb += [
                cursor.stride.eq(stride),
                cursor.restart.eq(now.restart),
                cursor.row_end.eq(here & lane[-1]),
                cursor.sample_end.eq(now.sample_end),
                cursor.batch_tile_end.eq(now.sample_end & row.all()),
            ]
            m.d.sync += [
                write.mask.eq(Mux(here & ~cursor.outside, lane, 0)),
                write.tile.eq(_buffer_tile(self._fill, cursor.tile, tiles)),
                write.index.eq(row),
            ]
            with m.If(here & cursor.outside):
                m.d.sync += self.overflow.eq(1)

    def _word(self, m: Module) -> None:
        """Make the word of a byte, or of this and the one before."""
        formats, byte = self.sample_format, self._data
        low, made, word = Signal(8), Signal(WORD_BITS), Signal(WORD_BITS)
        sign = byte[7] & formats[SampleFormat.SIGNED_INPUT] & ~self._target
        extended = Cat(byte, sign.replicate(WORD_BITS - 8))
        shift = Mux(self._target, 0, formats[SAMPLE_SHIFT_LOW:])
        with m.If(self._byte):
            m.d.sync += low.eq(byte)
        m.d.sync += [
            made.eq(Mux(self._wide, Cat(low, byte), (extended << shift)[:WORD_BITS])),
            word.eq(made),
        ]
        for write in (self.input, self.target):
            m.d.comb += [lane.eq(word) for lane in write.data]


def _most_samples(config: DeviceConfig) -> int:
    """Samples that a buffer has rows for."""
    return max(config.input_tiles, config.target_tiles) * config.batch_lanes


def _buffer_tile(buffer: Signal, tile: Signal, tiles: int) -> Value:
    """buffer * tiles + tile, of two buffers; no adder where `tiles` is a power of two."""
    if tiles & (tiles - 1) == 0:
        return Cat(tile[: exact_log2(tiles)], buffer)
    return tile + Mux(buffer, tiles, 0)
