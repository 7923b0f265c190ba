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
from hw.single_port_memory import SinglePortMemory
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
        memories = self._memories()
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

    def _memories(self) -> dict[str, SkewedMemory | SinglePortMemory]:
        config, tiles = self.config, region_tiles(self.config)
        lanes, batch_lanes = config.lanes, config.batch_lanes
        count = tiles[Region.WEIGHT]
        weight: SkewedMemory | SinglePortMemory
        if config.weights_in_spram:
            # The array and the host write a weight in a cycle in which they ask for its row.
            weight = SinglePortMemory(tiles=count, rows=lanes, lanes=lanes, family=config.family)
        else:
            weight = SkewedMemory(tiles=count, rows=lanes, lanes=lanes)
        return {
            "weight": weight,
            "delta": SkewedMemory(tiles=tiles[Region.DELTA], rows=batch_lanes, lanes=lanes),
            "samples": SkewedMemory(tiles=sample_tiles(config), rows=batch_lanes, lanes=lanes),
        }

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
        memories: Mapping[str, SkewedMemory | SinglePortMemory],
        array: SerialArray,
        loss: SerialLossUnit,
    ) -> None:
        """Both operands; the loss unit and the host read through the array's."""
        running, backward = Signal(), Signal()
        m.d.comb += [
            running.eq(~array.ready | loss.busy),
            backward.eq(array.busy & (self.instruction.opcode == Opcode.BACKWARD)),
        ]
        for name in ("weight", "delta"):
            self._share(m, memories[name].read, running, array.left, memories[name].rows)
        # DELTA is the right operand of BACKWARD, and the left one of GRADIENT.
        with m.If(backward):
            m.d.comb += _assigned(memories["delta"].read, array.right)
        self._read_samples(m, memories["samples"], running, array, loss)
        left, right = self._operands(m, memories, array, running, backward)
        m.d.comb += [
            Value.cast(array.left_words).eq(Cat(left)),
            Value.cast(array.right_words).eq(Cat(right)),
            Value.cast(loss.read_output.data).eq(Cat(right)),
            Value.cast(loss.read_target.data).eq(Cat(right)),
        ]
        self._answer(m, array, left[0], right[0])

    def _read_samples(
        self,
        m: Module,
        memory: SkewedMemory,
        running: Value,
        array: SerialArray,
        loss: SerialLossUnit,
    ) -> None:
        """One of the regions of SAMPLES: for the array, the loss unit or the host."""
        port, place = memory.read, places(self.config)
        self._share(m, port, running, array.right, memory.rows)
        tile, base = Signal.like(port.tile), Signal.like(port.tile)
        m.d.comb += port.tile.eq(base | tile)
        with m.If(loss.busy):
            for region, read in (
                (Region.OUTPUT, loss.read_output),
                (Region.TARGET, loss.read_target),
            ):
                with m.If(read.enable):
                    m.d.comb += [
                        base.eq(place[region]),
                        tile.eq(read.tile),
                        port.index.eq(read.index),
                        port.column.eq(1),
                        port.offset.eq(0),
                    ]
        with m.Elif(running):
            m.d.comb += [base.eq(place[Region.ACTIVATION]), tile.eq(array.right.tile)]
            with m.If(array.busy & (self.instruction.source == Source.INPUT)):
                buffer = Mux(self.front, self.config.input_tiles, 0)
                m.d.comb += base.eq(place[Region.INPUT] | buffer)
        with m.Else():
            m.d.comb += tile.eq(self._host_place(memory.rows)[0])
            with m.Switch(self.region):
                for region in SAMPLES:
                    with m.Case(region):
                        m.d.comb += base.eq(place[region])

    def _operands(
        self,
        m: Module,
        memories: Mapping[str, SkewedMemory | SinglePortMemory],
        array: SerialArray,
        running: Value,
        backward: Value,
    ) -> tuple[list[Value], list[Value]]:
        """What was asked for, in order: L words on the left, B on the right."""
        weight, delta, samples = (memories[name].read for name in ("weight", "delta", "samples"))
        gradient = array.busy & (self.instruction.opcode == Opcode.GRADIENT)
        delta_left, delta_right = Signal(), Signal()
        left = Signal(range(self.config.lanes), name="left_shift")
        right = Signal(range(self.config.lanes), name="right_shift")
        m.d.sync += [
            delta_left.eq(Mux(running, gradient, self.region == Region.DELTA)),
            delta_right.eq(backward),
            left.eq(weight.index + weight.offset),
            right.eq(Mux(backward, delta.index, samples.index + samples.offset)),
        ]
        words = {name: Value.cast(memory.words) for name, memory in memories.items()}
        lefts = Mux(delta_left, words["delta"], words["weight"])
        rights = Mux(delta_right, words["delta"], words["samples"])
        return (
            rotated(m, lefts, left, self.config.lanes),
            rotated(m, rights, right, self.config.batch_lanes),
        )

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
        memories: Mapping[str, SkewedMemory | SinglePortMemory],
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
