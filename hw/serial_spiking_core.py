"""The core of a small device that has the spiking half alone: a processor and its memories.

    processor <--> WEIGHT, STATE, EVENTS and scratch
    processor <--- INPUT TARGET <--- loader
    host <-------> all of them, and the LFSRs
"""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import connect, flipped
from amaranth.utils import ceil_log2, exact_log2

from hw.config import DeviceConfig
from hw.core import CoreSignature
from hw.isa import Region
from hw.lfsr import LfsrBank
from hw.numbers import WORD_BITS
from hw.spiking_processor import MemoryMap, SpikingProcessor, scratch


class SerialSpikingCore(wiring.Component):
    """A core that does one thing after the other, a word at a time.

    Attributes
    ----------
    read_latency: cycles from the host's address to its word
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.read_latency = 1
        super().__init__(CoreSignature(config=config).flip())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.processor = processor = SpikingProcessor(config=config)
        m.submodules.lfsr = lfsr = LfsrBank(lanes=config.lanes)
        m.d.comb += [
            processor.instruction.eq(self.instruction),
            processor.start.eq(self.spiking_start),
            processor.step.eq(self.time_step),
            processor.input_base.eq(Mux(self.front, config.input_tiles, 0)),
            processor.target_base.eq(Mux(self.front, config.target_tiles, 0)),
            processor.states.eq(lfsr.states),
            lfsr.step.eq(processor.lfsr_step),
            lfsr.address.eq(self.address),
            lfsr.write.eq(self.write_enable & (self.region == Region.LFSR)),
            lfsr.write_data.eq(self.write_data),
            self.spiking_busy.eq(processor.busy),
            self.array_ready.eq(1),
            self.array_busy.eq(processor.synapses),
            self.loss_done.eq(processor.counted),
            self.samples.eq(1),
            self.correct.eq(processor.correct),
        ]
        (report,) = self.reports
        connect(m, flipped(report), processor.report)
        word = self._memories(m, processor)
        from_lfsr = Signal()
        m.d.sync += from_lfsr.eq(self.region == Region.LFSR)
        m.d.comb += [
            processor.word.eq(word),
            self.read_data.eq(Mux(from_lfsr, lfsr.read_data, word)),
        ]
        assert LfsrBank.READ_LATENCY == self.read_latency
        return m

    def _memories(self, m: Module, processor: SpikingProcessor) -> Value:
        """The memories; returns the word that was asked for last."""
        places = processor.map
        place, write = Signal(places.bits, name="place"), Signal(name="write")
        word, read = Signal(WORD_BITS, name="written"), Signal(name="read")
        with m.If(processor.busy):
            m.d.comb += [
                place.eq(processor.address),
                write.eq(processor.write),
                word.eq(processor.data),
                read.eq(processor.read),
            ]
        with m.Else():
            m.d.comb += [
                place.eq(self.address),
                word.eq(self.write_data),
                read.eq(1),
            ]
            with m.Switch(self.region):
                for region, base in places.bases.items():
                    with m.Case(region):
                        m.d.comb += [place.eq(self.address | base), write.eq(self.write_enable)]
        # Where a memory has as many words as a block has places, no multiplexer is within it.
        init, answers = scratch(self.config), []
        for number, (first, count) in enumerate(places.parts):
            bits = ceil_log2(count)
            here, asked = Signal(name=f"here_{number}"), Signal(name=f"asked_{number}")
            m.d.comb += here.eq(place >> bits == first >> bits)
            with m.If(read):
                m.d.sync += asked.eq(here)
            part = _Words(
                m,
                f"words_{number}",
                [init.get(first + k, 0) for k in range(count)],
                read=read,
                place=place[:bits],
            )
            m.d.comb += [
                part.write.addr.eq(place[:bits]),
                part.write.data.eq(word),
                part.write.en.eq(write & here),
            ]
            answers.append(part.word & asked.replicate(WORD_BITS))
            if first == places.samples:
                self._load(m, part.write, places)
        return reduce(or_, answers)

    def _load(self, m: Module, port: wiring.PureInterface, places: MemoryMap) -> None:
        """The loader's words, which wait for nobody."""
        for region, row in ((Region.INPUT, self.input), (Region.TARGET, self.target)):
            bits = exact_log2(self.config.lanes)
            # One bit of the mask at most is set.
            column = Cat(
                Cat(row.mask[k] for k in range(self.config.lanes) if k >> bit & 1).any()
                for bit in range(bits)
            )
            bank = (row.index + column)[:bits]
            element = Cat(bank, row.index, row.tile)
            with m.If(row.mask.any()):
                m.d.comb += [
                    port.en.eq(1),
                    port.addr.eq(element | (places.bases[region] - places.samples)),
                    port.data.eq(Value.cast(row.data)[:WORD_BITS]),
                ]


class _Words:
    """A memory of words, and the one that was read last."""

    def __init__(self, m: Module, name: str, init: list[int], *, read: Value, place: Value):
        memory = Memory(
            shape=unsigned(WORD_BITS), depth=len(init), init=init, attrs={"no_rw_check": 1}
        )
        m.submodules[name] = memory
        # An asynchronous port and its register: see hw.tile_memory for `no_rw_check`.
        port = memory.read_port(domain="comb")
        self.word = Signal(WORD_BITS, name=f"{name}_word", reset_less=True)
        self.write = memory.write_port()
        m.d.comb += port.addr.eq(place)
        with m.If(read):
            m.d.sync += self.word.eq(port.data)
