"""Where the parts of spiking networks lie, how a word is named, and what does not fit."""

from dataclasses import replace

import numpy as np
import pytest

from host.memory_map import CompileError
from host.spiking.allocator import Allocator
from host.spiking.compiler import compile_spiking
from host.spiking.network import Encoding, Granules, Neurons
from host.spiking.program import Phase, repeat, sample_program
from hw.config import region_words
from hw.configurations import configuration
from hw.isa import INSTRUCTION_WORDS, Instruction, Opcode, Region
from hw.numbers import Format
from hw.spiking import NeuronParameter, Variable
from tests.host.spiking.small_runs import CONFIG, cerebellum, hybrid, pairs, prototypes

NETWORKS = {"prototypes": prototypes, "pairs": pairs, "cerebellum": cerebellum, "hybrid": hybrid}


@pytest.mark.parametrize("name", NETWORKS)
def test_parts_do_not_overlap_and_fit(name):
    memory = compile_spiking(NETWORKS[name](), CONFIG).memory
    owners = {region: np.zeros(words, np.int64) for region, words in region_words(CONFIG).items()}
    for one in (*memory.tensors, *memory.parts):
        owners[one.region][one.start : one.start + one.words] += 1
    for region, count in owners.items():
        assert (count <= 1).all()
        last = int(np.flatnonzero(count)[-1]) + 1 if count.any() else 0
        assert memory.extents().get(region, 0) == last
    names = [part.name for part in memory.parts]
    assert len(set(names)) == len(names)


def test_words_have_names():
    place = Allocator(CONFIG)
    weights = place.matrix("weight of the neurons", 10, 20, Format(1, 14))
    place.inputs(1, 20, Format(6, 9))
    neurons = place.population("neurons", 10)
    block = place.block("firing", NeuronParameter)
    cells = place.vector("granule cells", 9)
    spikes = place.spikes("winners", 3)
    memory = place.memory()
    lanes = CONFIG.lanes

    word = int(weights.layout.addresses()[9, 17])
    assert memory.locate(Region.WEIGHT, word) == "weight of the neurons, row 9, column 17"
    second = neurons.start + (8 + Variable.TRACE) * lanes + 1
    assert memory.locate(Region.STATE, second) == "trace of neuron 9 of the neurons"
    assert "nothing uses" in memory.locate(Region.STATE, second + 1)
    leak = block.start + NeuronParameter.RESET
    assert memory.locate(Region.STATE, leak) == "reset of the parameters of firing"
    assert memory.locate(Region.STATE, cells.start + 8) == "cell 8 of the granule cells"
    assert "nothing uses" in memory.locate(Region.STATE, cells.start + 9)
    assert memory.locate(Region.EVENTS, spikes.start) == (
        "number of spikes in the list of the winners"
    )
    assert memory.locate(Region.EVENTS, 2) == "spike 1 in the list of the winners"
    assert "nothing uses" in memory.locate(Region.EVENTS, 4)
    second_buffer = CONFIG.input_tiles * CONFIG.batch_lanes * lanes
    assert memory.locate(Region.INPUT, second_buffer) == "input (buffer 1), row 0, column 0"


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            prototypes(neurons=Neurons(count=1000)),
            r"needs 1000 tiles of WEIGHT, .* has 704: take fewer neurons.*\n.*1074 rows of STATE, ",
        ),
        (
            replace(cerebellum(), granules=Granules(cells=3000)),
            "needs 985 tiles of WEIGHT, ecp5-8-spiking has 704: .* granule cells",
        ),
        (
            prototypes(encoding=Encoding(kind="level", steps=100)),
            r"needs 400 tiles of INPUT, ecp5-8-spiking has 256: .*fewer steps of a level encoding",
        ),
        (replace(cerebellum(), inputs=200), "200 inputs of granule cells, .* has 128: take fewer"),
        (replace(cerebellum(), granules=Granules(fan_in=65)), "at most the 64 inputs, not 65"),
    ],
)
def test_networks_that_do_not_fit(network, message):
    with pytest.raises(CompileError, match=message):
        compile_spiking(network, CONFIG)


def test_prototypes_fit_a_small_device():
    small = configuration("gw2a-4-spiking")
    compiled = compile_spiking(prototypes(neurons=Neurons(count=64)), small)
    assert compiled.memory.extents()[Region.WEIGHT] == small.weight_tiles * small.lanes**2
    with pytest.raises(CompileError, match="needs 272 tiles of WEIGHT, gw2a-4-spiking has 256"):
        compile_spiking(prototypes(neurons=Neurons(count=65)), small)


def test_devices_without_what_it_takes():
    with pytest.raises(CompileError, match="ecp5-8x8 leaves out: take one of .*ecp5-8-spiking"):
        compile_spiking(prototypes(), configuration("ecp5-8x8"))
    with pytest.raises(CompileError, match="granule cells, which gw2a-4-spiking leaves out"):
        compile_spiking(cerebellum(), configuration("gw2a-4-spiking"))
    short = replace(CONFIG, program_length=16)
    with pytest.raises(CompileError, match=r"need \d+ instructions, ecp5-8-spiking has 16"):
        compile_spiking(prototypes(), short)


def test_repeats_jump_to_the_first_of_their_body():
    one = Instruction(opcode=Opcode.FIRE)
    program = sample_program([one, *repeat(5, [one, one]), one], start=40)
    assert [i.opcode for i in program] == [
        *(Opcode.ACQUIRE, Opcode.FIRE, Opcode.FIRE, Opcode.FIRE, Opcode.REPEAT, Opcode.FIRE),
        *(Opcode.RELEASE, Opcode.LOOP, Opcode.END),
    ]
    assert (program[4].rows, program[4].columns) == (42, 5)
    assert program[7].rows == 40


@pytest.mark.parametrize("name", NETWORKS)
def test_programs_stay_inside_the_memories(name):
    compiled = compile_spiking(NETWORKS[name](), CONFIG)
    assert Phase.TRAIN in compiled.entries
    extents = compiled.memory.extents()
    for i in compiled.instructions:
        assert len(i.encode()) == INSTRUCTION_WORDS
        if i.opcode in (Opcode.FIRE, Opcode.INTEGRATE, Opcode.PLASTICITY, Opcode.SCALE):
            assert i.gate < extents[Region.EVENTS]
            assert i.dest_base * CONFIG.lanes < extents[Region.STATE]
            last = i.left_base + (-(-i.rows // CONFIG.lanes) - 1) * i.left_inner
            assert last * CONFIG.lanes**2 < extents[Region.WEIGHT]
