"""The core of a small device: one command at a time, three memories, words written one by one.

    WEIGHT ---+--> left: rotate --> array unit --+--> WEIGHT
    DELTA ----+--> right: rotate -> array unit --+--> DELTA, SAMPLES
    SAMPLES --+                  -> loss unit ---+--> DELTA
       ^
       +-- loader, host

INPUT, TARGET, ACTIVATION and OUTPUT are parts of SAMPLES, of which only one word is read at a time
but in the array. Whoever has nothing to read or write drives zeros, so that ports are combined by
OR.
"""

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.utils import ceil_log2, exact_log2

from hw.config import DeviceConfig, region_tiles
from hw.core import CoreSignature
from hw.isa import Destination, Opcode, Region, Source
from hw.lfsr import LfsrBank
from hw.numbers import WORD_BITS
from hw.serial_array import SerialArray
from hw.serial_loss import SerialLossUnit
from hw.skewed_memory import SkewedMemory, VectorRead, rotated

SAMPLES = (Region.INPUT, Region.TARGET, Region.ACTIVATION, Region.OUTPUT)
"""The regions that share a memory."""


def places(config: DeviceConfig) -> dict[Region, int]:
    """First tile of each region of SAMPLES, a multiple of the power of two that holds the region.

    A tile's place is then the OR of both.
    """
    spans = {region: 1 << ceil_log2(region_tiles(config)[region]) for region in SAMPLES}
    first, found = 0, {}
    for region in sorted(SAMPLES, key=lambda region: -spans[region]):
        found[region] = first
        first += spans[region]
    return found


def sample_tiles(config: DeviceConfig) -> int:
    """Tiles of the memory that the regions of SAMPLES share."""
    tiles = region_tiles(config)
    return max(place + tiles[region] for region, place in places(config).items())


class SerialCore(wiring.Component):
    """A core in which commands never overlap.

    Attributes
    ----------
    read_latency: cycles from the host's address to its word
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.read_latency = SkewedMemory.READ_LATENCY
        super().__init__(CoreSignature(config=config).flip())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        tiles, lanes, batch_lanes = region_tiles(config), config.lanes, config.batch_lanes
        sizes = {
            "weight": (tiles[Region.WEIGHT], lanes),
            "delta": (tiles[Region.DELTA], batch_lanes),
            "samples": (sample_tiles(config), batch_lanes),
        }
        memories = {
            name: SkewedMemory(tiles=count, rows=rows, lanes=lanes)
            for name, (count, rows) in sizes.items()
        }
        for name, memory in memories.items():
            m.submodules[name] = memory
        m.submodules.array = array = SerialArray(config=config)
        m.submodules.loss = loss = SerialLossUnit(
            config=config, read_latency=SkewedMemory.READ_LATENCY
        )
        self._wire_control(m, array, loss)
        self._read(m, memories, array, loss)
        self._write(m, memories, array, loss)
        return m

    def _wire_control(self, m: Module, array: SerialArray, loss: SerialLossUnit) -> None:
        m.d.comb += [
            array.instruction.eq(self.instruction),
            array.start.eq(self.array_start),
            self.array_ready.eq(array.ready),
            self.array_retire.eq(array.retire),
            self.array_busy.eq(array.busy),
            loss.instruction.eq(self.instruction),
            loss.start.eq(self.loss_start),
            loss.target_base.eq(Mux(self.front, self.config.target_tiles, 0)),
            self.loss_busy.eq(loss.busy),
            self.loss_done.eq(loss.done),
            self.samples.eq(loss.samples),
            self.correct.eq(loss.correct),
            self.loss.eq(loss.loss),
            *(
                getattr(array, name).eq(getattr(self, name))
                for name in ("rate", "rate_shift", "decay", "decay_shift")
            ),
            array.lfsr_address.eq(self.address),
            array.lfsr_write.eq(self.write_enable & (self.region == Region.LFSR)),
            array.lfsr_write_data.eq(self.write_data),
        ]
        for own, report in zip(self.reports, (array.report, loss.report), strict=True):
            wiring.connect(m, wiring.flipped(own), report)

    def _host_place(self, rows: int) -> tuple[Value, Value, Value]:
        """Tile, row and bank of the host's address."""
        lane_bits, row_bits = exact_log2(self.config.lanes), exact_log2(rows)
        bank, word = self.address[:lane_bits], self.address[lane_bits:]
        return word[row_bits:], word[:row_bits], bank

    def _read(
        self,
        m: Module,
        memories: Mapping[str, SkewedMemory],
        array: SerialArray,
        loss: SerialLossUnit,
    ) -> None:
        """Both operands; the loss unit and the host read through the array's."""
        i = self.instruction
        running = Signal()
        m.d.comb += running.eq(~array.ready | loss.busy)
        gradient, backward = i.opcode == Opcode.GRADIENT, i.opcode == Opcode.BACKWARD
        for name, read in (("weight", array.left), ("delta", array.left)):
            port = memories[name].read
            self._share(m, port, running, read, memories[name].rows)
        # DELTA is the right operand of BACKWARD, and the left one of GRADIENT.
        with m.If(backward & array.busy):
            m.d.comb += _assigned(memories["delta"].read, array.right)
        samples = memories["samples"].read
        self._share(m, samples, running & ~loss.busy, array.right, memories["samples"].rows)
        place = places(self.config)
        input_base = Mux(self.front, self.config.input_tiles, 0)
        base = Signal.like(samples.tile)
        with m.If(loss.busy):
            m.d.comb += base.eq(Mux(loss.read_target.enable, place[Region.TARGET], 0))
            for region, read in (
                (Region.OUTPUT, loss.read_output),
                (Region.TARGET, loss.read_target),
            ):
                with m.If(read.enable):
                    m.d.comb += [
                        base.eq(place[region]),
                        samples.tile.eq(base | read.tile),
                        samples.index.eq(read.index),
                        samples.column.eq(1),
                        samples.offset.eq(0),
                    ]
        with m.Elif(running):
            from_input = array.busy & (i.source == Source.INPUT)
            m.d.comb += [
                base.eq(
                    Mux(from_input, place[Region.INPUT] | input_base, place[Region.ACTIVATION])
                ),
                samples.tile.eq(base | array.right.tile),
            ]
        with m.Else():
            with m.Switch(self.region):
                for region in SAMPLES:
                    with m.Case(region):
                        m.d.comb += base.eq(place[region])
            tile, _, _ = self._host_place(self.config.batch_lanes)
            m.d.comb += samples.tile.eq(base | tile[: ceil_log2(sample_tiles(self.config))])

        from_delta, delta_right = Signal(), Signal()
        m.d.sync += [
            from_delta.eq(
                Mux(running, gradient & array.busy, self.region == Region.DELTA)
            ),
            delta_right.eq(backward & array.busy),
        ]
        left, right = (
            Signal(range(self.config.lanes), name=f"{side}_shift") for side in ("left", "right")
        )
        weight, delta = memories["weight"].read, memories["delta"].read
        m.d.sync += [
            left.eq(weight.index + weight.offset),
            right.eq(
                Mux(backward & array.busy, delta.index, samples.index + samples.offset)
            ),
        ]
        words = {name: Value.cast(memory.words) for name, memory in memories.items()}
        left_words = rotated(
            m, Mux(from_delta, words["delta"], words["weight"]), left, self.config.lanes
        )
        right_words = rotated(
            m,
            Mux(delta_right, words["delta"], words["samples"]),
            right,
            self.config.batch_lanes,
        )
        m.d.comb += [
            Value.cast(array.left_words).eq(Cat(left_words)),
            Value.cast(array.right_words).eq(Cat(right_words)),
        ]
        for read in (loss.read_output, loss.read_target):
            m.d.comb += Value.cast(read.data).eq(Cat(right_words))
        self._answer(m, array, left_words[0], right_words[0])

    def _share(
        self, m: Module, port: VectorRead, running: Value, user: VectorRead, rows: int
    ) -> None:
        """The port is its user's while it runs, and otherwise the host's."""
        tile, row, bank = self._host_place(rows)
        with m.If(running):
            m.d.comb += _assigned(port, user)
        with m.Else():
            # Of a row; the word of the bank becomes the first one.
            m.d.comb += [
                port.tile.eq(tile),
                port.index.eq(row),
                port.offset.eq(bank - row),
            ]

    def _answer(self, m: Module, array: SerialArray, left: Value, right: Value) -> None:
        """The host's word: one of an LFSR comes as late as one of a memory."""
        assert LfsrBank.READ_LATENCY == SkewedMemory.READ_LATENCY
        region = Signal.like(self.region)
        m.d.sync += region.eq(self.region)
        m.d.comb += self.read_data.eq(right)
        with m.Switch(region):
            with m.Case(Region.LFSR):
                m.d.comb += self.read_data.eq(array.lfsr_read_data)
            with m.Case(Region.WEIGHT, Region.DELTA):
                m.d.comb += self.read_data.eq(left)

    def _write(
        self,
        m: Module,
        memories: Mapping[str, SkewedMemory],
        array: SerialArray,
        loss: SerialLossUnit,
    ) -> None:
        """Results and loaded samples, or the host's words."""
        place = places(self.config)
        i = self.instruction
        to_delta = i.opcode == Opcode.BACKWARD
        loading = Signal()
        m.d.comb += [
            loading.eq(self.input.mask.any() | self.target.mask.any()),
            array.write_ready.eq(~loading | to_delta),
        ]
        for name, regions in (
            ("weight", (Region.WEIGHT,)),
            ("delta", (Region.DELTA,)),
            ("samples", SAMPLES),
        ):
            port = memories[name].write
            tile, row, bank = self._host_place(memories[name].rows)
            m.d.comb += [
                port.tile.eq(tile),
                port.row.eq(row),
                port.bank.eq(bank),
                port.data.eq(self.write_data),
            ]
            for region in regions:
                with m.If(self.region == region):
                    m.d.comb += port.enable.eq(self.write_enable)
                    if name == "samples":
                        m.d.comb += port.tile.eq(tile | place[region])
        for name, source, active, enable in (
            ("weight", array.weight_write, ~array.ready, array.weight_write.enable),
            ("delta", array.write, ~array.ready, array.write.enable & to_delta),
            ("delta", loss.write, loss.busy, loss.write.enable),
            ("samples", array.write, ~array.ready, array.write.enable & ~to_delta),
        ):
            port = memories[name].write
            with m.If(active):
                m.d.comb += [
                    port.enable.eq(enable),
                    port.tile.eq(source.tile),
                    port.row.eq(source.row),
                    port.bank.eq(source.row + source.column),
                    port.data.eq(source.data),
                ]
                if name == "samples":
                    to_output = i.destination == Destination.OUTPUT
                    base = Mux(to_output, place[Region.OUTPUT], place[Region.ACTIVATION])
                    m.d.comb += port.tile.eq(source.tile | base)
        self._load(m, memories["samples"].write, loading, place)

    def _load(
        self, m: Module, port: wiring.PureInterface, loading: Value, place: Mapping[Region, int]
    ) -> None:
        """The loader's words, which wait for nobody."""
        with m.If(loading):
            mask = self.input.mask | self.target.mask
            column = Cat(
                (mask & sum(1 << k for k in range(self.config.lanes) if k >> bit & 1)).any()
                for bit in range(exact_log2(self.config.lanes))
            )
            m.d.comb += [
                port.enable.eq(1),
                port.row.eq(self.input.index),
                port.bank.eq(self.input.index + column),
                port.data.eq(Value.cast(self.input.data)[:WORD_BITS]),
                port.tile.eq(self.input.tile | place[Region.INPUT]),
            ]
            with m.If(self.target.mask.any()):
                m.d.comb += port.tile.eq(self.target.tile | place[Region.TARGET])


def _assigned(port: wiring.PureInterface, user: wiring.PureInterface) -> list:
    return [getattr(port, name).eq(getattr(user, name)) for name in port.signature.members]
