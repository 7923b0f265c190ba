"""EXPAND: granule cells, each of which adds up a few inputs with signs and fires from a threshold.

    INPUT ---- word by word ---> sample, L copies ---+
                                    ^                v
    WEIGHT --- row by row ---> 2 index + sign ----> +-x --> sum --> >= 0 ? --> queue --> spikes
                               threshold ----------> -                           |
                                                                 ACTIVE or 0 ----+--> STATE

A lane has a copy of the sample of its own, so that all lanes can read different inputs at once. The
threshold is the last thing that is added, complemented: what is left to ask is the sum's sign.
"""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for, exact_log2

from hw.activity import while_active
from hw.config import DeviceConfig, region_tiles
from hw.isa import Region
from hw.layout import tiles
from hw.numbers import WORD_BITS
from hw.spiking import ACTIVE
from hw.spiking_ports import Command, StateWrite, spike_tile
from hw.tile_memory import TileMemory, TileRead


class GranuleUnit(wiring.Component):
    """Executes EXPAND, to the bit as sim.golden.spiking.

    The sample is copied in a cycle a word, whole tiles of it; then the table is read in a cycle a
    row, depth + 1 of them for L cells, unless spikes wait to be taken. From `start` to `done`:

        L ceil(columns / L) + (depth + 1) ceil(rows / L) + LATENCY cycles

    for a depth of at least 1 and spikes that are taken at once.

    Parameters
    ----------
    config: the device's configuration, with `expansion_inputs`

    Members
    -------
    command: EXPAND with rows >= 1 and 1 <= columns <= expansion_inputs
    input_base: first tile of the buffer in front
    input_read: INPUT, by column; weight_read: WEIGHT, by row
    state_write: STATE
    spikes: of all tiles

    Raises ValueError for a configuration without `expansion_inputs`.
    """

    QUEUE = 8
    """Tiles whose rows may be under way."""

    SUM_LATENCY = TileMemory.READ_LATENCY + 6
    """Cycles from the read of a row to the sums with it."""

    LATENCY = SUM_LATENCY + 2

    def __init__(self, *, config: DeviceConfig):
        if not config.expansion_inputs:
            raise ValueError(
                f"expansion_inputs of configuration {config.name!r} must be at least "
                f"{config.lanes} for granule cells, not 0"
            )
        self.config = config
        region, lanes = region_tiles(config), config.lanes
        self._lane_bits = exact_log2(lanes)
        self._word_bits = exact_log2(config.expansion_inputs)
        # At most all rows of WEIGHT are added up.
        self._depth_bits = bits_for(config.weight_tiles * lanes)
        super().__init__(
            {
                "command": In(Command()),
                "input_base": In(range(region[Region.INPUT])),
                "input_read": Out(TileRead(tiles=region[Region.INPUT], lanes=lanes)),
                "weight_read": Out(TileRead(tiles=region[Region.WEIGHT], lanes=lanes)),
                "state_write": Out(StateWrite(config)),
                "spikes": Out(stream.Signature(spike_tile(config))),
            }
        )

    def cycles(self, *, rows: int, columns: int, depth: int) -> int:
        """Cycles from `start` to `done`, where spikes are taken at once and depth >= 1."""
        lanes = self.config.lanes
        height = tiles(rows, lanes) * (depth + 1)
        return tiles(columns, lanes) * lanes + height + self.LATENCY

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        self._busy = Signal(name="busy")
        # The last tiles of the sample and of cells.
        self._last_input = Signal(max(self._word_bits - self._lane_bits, 1), name="last_input")
        self._last_cells = Signal(range(self.config.state_rows), name="last_cells")
        i = self.command.instruction
        with m.If(self.command.start):
            m.d.sync += [
                self._busy.eq(1),
                self._last_input.eq((i.columns - 1)[self._lane_bits :]),
                self._last_cells.eq((i.rows - 1)[self._lane_bits :]),
            ]
        with m.Elif(self.command.done):
            m.d.sync += self._busy.eq(0)
        m.submodules.queue = self._queue = SyncFIFO(width=self.config.lanes, depth=self.QUEUE)
        copied = self._copy(m)
        row, last = self._read_table(m, copied)
        self._add(m, row, last)
        self._leave(m)
        active = self.command.start | self._busy | self.command.done
        return while_active(m, active, platform, name="granule", after=1)

    def _delayed(self, m: Module, value: Value, cycles: int, name: str) -> Value:
        """`value`, so many cycles ago; 0 after a reset."""
        for k in range(cycles):
            later = Signal(len(value), name=f"{name}_{k}")
            m.d.sync += later.eq(value)
            value = later
        return value

    def _copy(self, m: Module) -> Value:
        """Read the sample word by word, into all copies; returns a strobe at the last read.

        Element 0 of column c of a tile is word c of its first sample.
        """
        i, read, start = self.command.instruction, self.input_read, self.command.start
        copying, last = Signal(name="copying"), Signal(name="last_copied")
        word, tile = Signal(self._word_bits, name="word"), Signal.like(read.tile)
        index = word[: self._lane_bits]
        end = word[self._lane_bits :] == self._last_input
        m.d.comb += [
            last.eq(copying & index.all() & end),
            read.enable.eq(copying),
            read.tile.eq(tile),
            read.index.eq(index),
            read.column.eq(1),
        ]
        with m.If(start):
            m.d.sync += [copying.eq(1), word.eq(0), tile.eq(i.left_base + self.input_base)]
        with m.Elif(copying):
            m.d.sync += [word.eq(word + 1), copying.eq(~last)]
            with m.If(index.all()):
                m.d.sync += tile.eq(tile + 1)

        arrived = self._delayed(m, copying, TileMemory.READ_LATENCY, "arrived")
        place = Signal(self._word_bits, name="place")
        with m.If(start):
            m.d.sync += place.eq(0)
        with m.Elif(arrived):
            m.d.sync += place.eq(place + 1)
        self._copies = []
        for lane in range(self.config.lanes):
            # See hw.tile_memory for `no_rw_check`, and for why ports to read are asynchronous.
            copy = Memory(
                shape=signed(WORD_BITS),
                depth=self.config.expansion_inputs,
                init=[],
                attrs={"no_rw_check": 1},
            )
            m.submodules[f"copy_{lane}"] = copy
            self._copies.append(copy)
            write = copy.write_port()
            m.d.comb += [
                write.en.eq(arrived),
                write.addr.eq(place),
                write.data.eq(read.data[0]),
            ]
        return last

    def _read_table(self, m: Module, begin: Value) -> tuple[Value, Value]:
        """Read row after row of the table; returns whether one is read, and a tile's last one."""
        i, read = self.command.instruction, self.weight_read
        reading, fresh, room = Signal(name="reading"), Signal(name="fresh"), Signal(name="room")
        tile, index = Signal.like(read.tile), Signal.like(read.index)
        rest, cells = Signal(self._depth_bits, name="rest"), Signal.like(self._last_cells)
        taken, last = Signal(name="taken"), Signal(name="last_row")
        # Tiles from their first row until they have left the queue.
        under_way = Signal(range(self.QUEUE + 1))
        left = self.spikes.valid & self.spikes.ready
        m.d.comb += [
            room.eq(~under_way[-1]),
            taken.eq(reading & (~fresh | room)),
            last.eq(taken & (rest == 0)),
            read.enable.eq(taken),
            read.tile.eq(tile),
            read.index.eq(index),
        ]
        m.d.sync += under_way.eq(under_way + (taken & fresh) - left)
        with m.If(self.command.start):
            m.d.sync += [
                *(tile.eq(i.dest_inner), index.eq(0)),
                *(rest.eq(i.depth), cells.eq(0), fresh.eq(1)),
            ]
        with m.Elif(taken):
            m.d.sync += [index.eq(index + 1), rest.eq(rest - 1), fresh.eq(last)]
            with m.If(index.all()):
                m.d.sync += tile.eq(tile + 1)
            with m.If(last):
                m.d.sync += [rest.eq(i.depth), cells.eq(cells + 1)]
        with m.If(begin):
            m.d.sync += reading.eq(1)
        with m.Elif(last & (cells == self._last_cells)):
            m.d.sync += reading.eq(0)
        return taken, last

    def _add(self, m: Module, row: Value, last: Value) -> None:
        """Cycles from a row's arrival: clipped index, word of the sample, its capture, +-x, sum."""
        arrived = self._delayed(m, Cat(row, last), TileMemory.READ_LATENCY, "row")
        operand = self._delayed(m, arrived, 5, "operand")
        before = self._delayed(m, arrived, 4, "drawn")
        first = Signal(name="first", init=1)
        with m.If(operand[0]):
            m.d.sync += first.eq(operand[1])
        done = self._delayed(m, operand[1], 1, "summed")
        spikes = []
        for lane in range(self.config.lanes):
            drawn, entry = self._drawn(m, lane)
            addend = Signal(signed(WORD_BITS), name=f"addend_{lane}", reset_less=True)
            carry = Signal(name=f"carry_{lane}", reset_less=True)
            threshold = before[1]
            m.d.sync += [
                addend.eq(Mux(threshold, ~entry, drawn ^ entry[0].replicate(WORD_BITS))),
                carry.eq(threshold | entry[0]),
            ]
            total = Signal(
                signed(WORD_BITS + self._depth_bits), name=f"sum_{lane}", reset_less=True
            )
            with m.If(operand[0]):
                m.d.sync += total.eq(Mux(first, 0, total) + addend + carry)
            spikes.append(~total[-1])
        m.d.comb += [self._queue.w_en.eq(done), self._queue.w_data.eq(Cat(spikes))]

    def _drawn(self, m: Module, lane: int) -> tuple[Value, Value]:
        """The word that a lane's entry of the table names, and the entry, 4 cycles after it came.

        An index behind the sample counts as that of the sample's last word.
        """
        entry = Value.cast(self.weight_read.data[lane])
        came, over = Signal(WORD_BITS, name=f"came_{lane}"), Signal(name=f"over_{lane}")
        address = Signal(self._word_bits, name=f"address_{lane}", reset_less=True)
        word = Signal(signed(WORD_BITS), name=f"word_{lane}", reset_less=True)
        drawn = Signal(signed(WORD_BITS), name=f"drawn_{lane}", reset_less=True)
        read = self._copies[lane].read_port(domain="comb")
        end = Cat(Const(-1, self._lane_bits), self._last_input)
        m.d.sync += [
            came.eq(entry),
            over.eq(entry[1 + self._lane_bits :] > self._last_input),
            address.eq(Mux(over, end, came[1:])),
            word.eq(read.data),
            drawn.eq(word),
        ]
        m.d.comb += read.addr.eq(address)
        return drawn, self._delayed(m, came, 3, f"entry_{lane}")

    def _leave(self, m: Module) -> None:
        """From the queue to the recorder and into STATE; lanes behind the last cell never fire."""
        i, spikes, write = self.command.instruction, self.spikes, self.state_write
        lanes, tile = self.config.lanes, Signal.like(self._last_cells, name="tile")
        rest = i.rows[: self._lane_bits]
        mask, last = Signal(lanes, name="mask"), Signal(name="last_tile")
        row, spacing = Signal.like(write.row), Signal.like(write.row, name="spacing")
        written = Signal(lanes, name="written")
        m.d.comb += [
            last.eq(tile == self._last_cells),
            *(
                mask[lane].eq(self._queue.r_data[lane] & (~last | (rest == 0) | (rest > lane)))
                for lane in range(lanes)
            ),
            spikes.valid.eq(self._queue.r_rdy),
            *(spikes.p.tile.eq(tile), spikes.p.mask.eq(mask), spikes.p.last.eq(last)),
            self._queue.r_en.eq(spikes.ready),
            *(write.data[lane].eq(Mux(written[lane], ACTIVE, 0)) for lane in range(lanes)),
        ]
        left = spikes.valid & spikes.ready
        m.d.sync += [write.enable.eq(left), self.command.done.eq(left & last)]
        with m.If(self.command.start):
            m.d.sync += [tile.eq(0), row.eq(i.dest_base), spacing.eq(1 << i.leak_shift)]
        with m.Elif(left):
            m.d.sync += [
                *(tile.eq(tile + 1), row.eq(row + spacing)),
                *(write.row.eq(row), written.eq(mask)),
            ]
