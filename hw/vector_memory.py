"""The memories of the spiking half: rows of L words for neurons, and words for lists of spikes.

    read, else host --row--> bank 0..L-1 --> read
                                      +--> lane --[chosen]--[held]--> host
    write, or host --row, data, enables--> bank 0..L-1

Bank k holds word k of every row. The host addresses single words: row * L + lane.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from hw.activity import while_active
from hw.block_memory import BlockMemory
from hw.config import DeviceConfig, Family
from hw.numbers import WORD_BITS
from hw.spiking_ports import (
    EVENT_LATENCY,
    STATE_LATENCY,
    EventRead,
    EventWrite,
    StateRead,
    StateWrite,
)
from hw.tile_memory import TileHost, TileMemory

HOST_LATENCY = TileMemory.HOST_LATENCY
"""Cycles from the host's address to its word, as of every memory."""

assert STATE_LATENCY == EVENT_LATENCY == BlockMemory.READ_LATENCY
assert HOST_LATENCY == STATE_LATENCY + 2


class StateMemory(wiring.Component):
    """STATE: `config.state_rows` rows of L words of block RAM.

    One read and one write of a row a cycle, without stalls. A read sees the writes of the cycles
    before it; a read of a row that is written in the same cycle is undefined. Words are 0 after
    configuration; a reset keeps them.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    read: a row, STATE_LATENCY cycles later, and for as long as enable and row hold still
    write: a row
    host: one word, HOST_LATENCY cycles later; only while `read` and `write` have no enable
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        super().__init__(
            {
                "read": In(StateRead(config)),
                "write": In(StateWrite(config)),
                "host": In(TileHost(tiles=config.state_rows, rows=1, lanes=config.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        config = self.config
        rows = _Rows(self.host, rows=config.state_rows, lanes=config.lanes, family=config.family)
        return rows.module(
            platform,
            read=(self.read.enable, self.read.row, self.read.data.as_value()),
            write=(self.write.enable, self.write.row, self.write.data.as_value()),
        )


class EventMemory(wiring.Component):
    """EVENTS: `config.event_words` words of block RAM, otherwise as StateMemory.

    Parameters
    ----------
    config: the device's configuration

    Members
    -------
    read: a word, EVENT_LATENCY cycles later, and for as long as enable and address hold still
    write: a word
    host: as of StateMemory
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        super().__init__(
            {
                "read": In(EventRead(config)),
                "write": In(EventWrite(config)),
                "host": In(TileHost(tiles=config.event_words, rows=1, lanes=1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        config = self.config
        rows = _Rows(self.host, rows=config.event_words, lanes=1, family=config.family)
        return rows.module(
            platform,
            read=(self.read.enable, self.read.address, self.read.data),
            write=(self.write.enable, self.write.address, self.write.data),
        )


class _Rows:
    """Banks of block RAM side by side, and the host's way to their words."""

    def __init__(self, host: wiring.PureInterface, *, rows: int, lanes: int, family: Family):
        self.host = host
        self.lanes = lanes
        bits = exact_log2(lanes)
        self.lane, self.row = host.address[:bits], host.address[bits:]
        self.banks = [BlockMemory(depth=rows, family=family) for _ in range(lanes)]

    def module(
        self,
        platform: object,
        *,
        read: tuple[Value, Value, Value],
        write: tuple[Value, Value, Value],
    ) -> Module:
        """The memory between ports of (enable, row, data)."""
        m = Module()
        # The host's read has no strobe: it is one when the address has moved, or the word may have.
        address, wrote = Signal.like(self.host.address, name="address_before"), Signal()
        writing = write[0] | self.host.write_enable
        m.d.sync += [address.eq(self.host.address), wrote.eq(writing)]
        moved = (self.host.address != address) | (wrote & ~writing)
        m.submodules.read = while_active(
            self._reader(*read), read[0] | moved, platform, name="read", after=HOST_LATENCY
        )
        m.submodules.write = while_active(self._writer(*write), writing, platform, name="write")
        return m

    def _reader(self, enable: Value, row: Value, data: Value) -> Module:
        m = Module()
        place = Mux(enable, row, self.row)
        for k, bank in enumerate(self.banks):
            m.submodules[f"bank_{k}"] = bank.reader()
            m.d.comb += bank.read_address.eq(place)
        words = Cat(bank.word for bank in self.banks)
        m.d.comb += data.eq(words)

        lane = self.lane
        for stage in range(BlockMemory.READ_LATENCY):
            register = Signal(len(lane), name=f"lane_{stage}", reset_less=True)
            m.d.sync += register.eq(lane)
            lane = register
        chosen = Signal(WORD_BITS, name="chosen", reset_less=True)
        held = Signal(WORD_BITS, name="held", reset_less=True)
        m.d.sync += [chosen.eq(words.word_select(lane, WORD_BITS)), held.eq(chosen)]
        m.d.comb += self.host.read_data.eq(held)
        return m

    def _writer(self, enable: Value, row: Value, data: Value) -> Module:
        m, host = Module(), self.host
        for k, bank in enumerate(self.banks):
            m.submodules[f"bank_{k}"] = bank.writer()
            own = data[k * WORD_BITS :][:WORD_BITS]
            m.d.comb += [
                bank.write_address.eq(Mux(host.write_enable, self.row, row)),
                bank.write_data.eq(Mux(host.write_enable, host.write_data, own)),
                bank.write_enable.eq(enable | (host.write_enable & (self.lane == k))),
            ]
        return m
