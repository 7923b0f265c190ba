"""The spiking half as a processor, against the golden model; and its microcode's assembler."""

from dataclasses import asdict, replace

import pytest
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2, exact_log2

from hw.array_unit import delayed
from hw.assembler import Assembler
from hw.config import DeviceConfig, offered_opcodes, region_tiles, tile_rows
from hw.configurations import configuration
from hw.isa import SPIKING_OPCODES, Opcode, Region
from hw.lfsr import STATE_BITS, LfsrBank
from hw.microcode import MOST_STEPS, Base, Condition, Place
from hw.microcode_routines import SCRATCH_WORDS, Scratch, constants
from hw.numbers import WORD_BITS
from hw.spiking_microcode import ENTRY_BITS, microcode
from hw.spiking_processor import MemoryMap, SpikingProcessor, scratch
from hw.tile_memory import TileHost, TileMemory, TileRead
from sim.bench.runner import run_bench

SEED = 4243
NEURONS = 10
"""A population has at most so many: a synapse takes some 20 cycles."""

SMALL = replace(
    configuration("up5k-2-spiking"),
    family="behavioural",
    weight_tiles=99,
    input_tiles=16,
    target_tiles=4,
    state_rows=256,
    event_words=100,
)

HOSTED = (Region.WEIGHT, Region.INPUT, Region.TARGET)
PASSED = ("instruction", "start", "busy", "step", "synapses", "counted", "correct")


class ProcessorCore(wiring.Component):
    """A processor with one memory of all regions, behind the ports that the bench knows.

    Members
    -------
    as of tests.hw.test_spiking_unit.SpikingCore
    """

    def __init__(self, *, config: DeviceConfig):
        self.config = config
        self.unit = SpikingProcessor(config=config)
        tiles, lanes = region_tiles(config), config.lanes
        inner = self.unit.signature.members
        hosts = {
            region: TileHost(tiles=tiles[region], rows=tile_rows(config, region), lanes=lanes)
            for region in HOSTED
        }
        hosts[Region.STATE] = TileHost(tiles=config.state_rows, rows=1, lanes=lanes)
        hosts[Region.EVENTS] = TileHost(tiles=config.event_words, rows=1, lanes=1)
        names = {region: region.name.lower() for region in hosts} | {Region.EVENTS: "event"}
        self.hosts = {region: f"{names[region]}_host" for region in hosts}
        super().__init__(
            {
                **{name: inner[name] for name in (*PASSED, "report")},
                "samples": Out(1),
                "front": In(1),
                "states": Out(data.ArrayLayout(STATE_BITS, lanes)),
                "peek": In(TileRead(tiles=config.weight_tiles, lanes=lanes)),
                **{self.hosts[region]: In(host) for region, host in hosts.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m, unit, config = Module(), self.unit, self.config
        m.submodules.unit = unit
        m.submodules.lfsr = lfsr = LfsrBank(lanes=config.lanes)
        for name in PASSED:
            own, inner = getattr(self, name), getattr(unit, name)
            takes = unit.signature.members[name].flow == In
            m.d.comb += inner.eq(own) if takes else own.eq(inner)
        connect(m, flipped(self.report), unit.report)
        m.d.comb += [
            self.samples.eq(1),
            unit.input_base.eq(Mux(self.front, config.input_tiles, 0)),
            unit.target_base.eq(Mux(self.front, config.target_tiles, 0)),
            unit.states.eq(lfsr.states),
            self.states.eq(lfsr.states),
            lfsr.step.eq(unit.lfsr_step),
        ]
        self._memory(m)
        return m

    def _memory(self, m: Module) -> None:
        unit, places, lanes = self.unit, self.unit.map, self.config.lanes
        constant = scratch(self.config)
        init = [constant.get(place, 0) for place in range(1 << places.bits)]
        memory = Memory(shape=WORD_BITS, depth=1 << places.bits, init=init)
        m.submodules.memory = memory
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            *(write.addr.eq(unit.address), write.en.eq(unit.write), write.data.eq(unit.data)),
            *(read.addr.eq(unit.address), read.en.eq(unit.read), unit.word.eq(read.data)),
        ]
        for region, name in self.hosts.items():
            host, base = getattr(self, name), places.bases[region]
            write, read = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(base + host.address),
                write.data.eq(host.write_data),
                write.en.eq(host.write_enable),
                read.addr.eq(base + host.address),
                host.read_data.eq(delayed(m, read.data, TileMemory.HOST_LATENCY)),
            ]
        words = []
        for column in range(lanes):
            bank = Signal(exact_log2(lanes), name=f"bank_{column}")
            read = memory.read_port(domain="comb")
            m.d.comb += [
                bank.eq(self.peek.index + column),
                read.addr.eq(
                    places.bases[Region.WEIGHT] | Cat(bank, self.peek.index, self.peek.tile)
                ),
            ]
            words.append(read.data)
        m.d.comb += self.peek.data.as_value().eq(
            delayed(m, Cat(words), TileMemory.READ_LATENCY)
        )


@pytest.mark.simulator
@pytest.mark.toolchain
def test_equals_golden() -> None:
    print(f"seed {SEED}")
    run_bench(
        ProcessorCore(config=SMALL),
        bench="sim.bench.bench_spiking_unit",
        tests="every_command|random_commands|reset_in_mid_command",
        parameters={
            "config": asdict(SMALL),
            "scenes": 8,
            "commands": 16,
            "neurons": NEURONS,
            "seed": SEED,
        },
        seed=SEED,
    )


def test_every_command_has_its_microcode() -> None:
    code = microcode(2)
    assert len(code) <= MOST_STEPS
    offered = offered_opcodes(SMALL).intersection(SPIKING_OPCODES)
    entries = {code[opcode % (1 << ENTRY_BITS)] for opcode in offered}
    # One that is left out is done at once.
    assert len(entries) == len(offered) and code[Opcode.EXPAND] not in entries


def test_regions_do_not_meet() -> None:
    for config in (SMALL, configuration("up5k-2-spiking")):
        places = MemoryMap(config)
        sizes = {
            Region.WEIGHT: config.weight_tiles * 4,
            Region.STATE: config.state_rows * 2,
            Region.EVENTS: config.event_words,
            Region.INPUT: 2 * config.input_tiles * 4,
            Region.TARGET: 2 * config.target_tiles * 4,
        }
        taken = [
            address
            for region, size in sizes.items()
            for address in range(places.bases[region], places.bases[region] + size)
        ]
        taken += range(places.scratch, places.scratch + SCRATCH_WORDS)
        assert len(set(taken)) == len(taken)
        for region, size in sizes.items():
            # The place of a word is the OR of its number and its region's.
            assert places.bases[region] | (size - 1) == places.bases[region] + size - 1
        # In the memory that the region's block is of.
        inside = [range(first, first + count) for first, count in places.parts]
        assert all(sum(address in part for part in inside) == 1 for address in taken)
        assert all(first % (1 << ceil_log2(count)) == 0 for first, count in places.parts)
        assert max(taken) < 1 << places.bits


def test_refuses_more_words_than_it_reckons_with() -> None:
    config = replace(SMALL, weight_tiles=4096)
    with pytest.raises(ValueError, match="must be at most 16384, not 32768"):
        MemoryMap(config)


def test_constants_lie_in_scratch() -> None:
    first = MemoryMap(SMALL).scratch
    found = {Scratch(place - first): value for place, value in scratch(SMALL).items()}
    assert found == {which: value % 65536 for which, value in constants(2).items()}
    assert min(found) > Scratch.REMAINING and max(found) < SCRATCH_WORDS


def test_the_assembler_refuses_what_a_step_cannot_do() -> None:
    asm = Assembler(first=1)
    place = Place(Base.SCRATCH)
    with pytest.raises(ValueError, match="must have one place at most, not"):
        asm.step(read=place, write=place)
    with pytest.raises(ValueError, match="always goes elsewhere must write nothing"):
        asm.step(write=place, to="there")
    asm.step(write=place, when=Condition.MODE, to="there")
    with pytest.raises(ValueError, match="label must be one of , not 'there'"):
        asm.words()
    asm.label("there")
    with pytest.raises(ValueError, match="label of a step must be new, not 'there' again"):
        asm.label("there")
    assert len(asm.words()) == 2
    asm.step(read=Place(Base.SCRATCH, 64))
    with pytest.raises(ValueError, match="offset must be from 0 to 63, not 64"):
        asm.words()


def test_the_assembler_refuses_too_many_steps() -> None:
    asm = Assembler(first=0)
    for _ in range(MOST_STEPS + 1):
        asm.step()
    with pytest.raises(ValueError, match=f"must be at most {MOST_STEPS}, not {MOST_STEPS + 1}"):
        asm.words()
