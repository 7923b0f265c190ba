"""The compiler: programs, memory map, registers and samples; and what it refuses, and how."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from host.compiler import Compiled, CompileError, compile_network, rule_registers
from host.fixed_point import RangeError, decode, encode
from host.network import Formats, Network, Neuron, Rule, dense
from host.program import Mode
from hw.config import region_words
from hw.configurations import CONFIGURATIONS, configuration
from hw.instruction import used_bits
from hw.isa import (
    ARRAY_OPCODES,
    NO_WAIT,
    Activation,
    Destination,
    GradientFlag,
    Instruction,
    Loss,
    Opcode,
    Region,
    Register,
    SampleFormat,
    Source,
)
from hw.numbers import Format

ECP5 = configuration("ecp5-8x8")
FULL = configuration("ecp5-8x8-full")
UP5K = configuration("up5k-4x2")
SPRAM = configuration("up5k-4x2-spram")
SPIKING = configuration("ecp5-8x8-spiking")
SGD = Rule(rate=2**-4, momentum=0.9)


def digits(**options) -> Compiled:
    options = {"train": (32,), "config": ECP5, **options}
    return compile_network(dense((64, 32, 10)), SGD, **options)


def regression(sizes=(4, 8, 2), **options) -> Network:
    options = {"loss": Loss.MEAN_SQUARED_ERROR, "class_target": False, **options}
    return dense(sizes, Activation.RELU, **options)


# Programs


def test_training_program_in_order():
    compiled = digits()
    listed = [i.opcode for i in compiled.instructions]
    opcodes = "".join(Opcode(opcode).name[0] for opcode in listed)
    assert opcodes == "A" + "FF" + "FFLF" + "FLFF" + "LL" + "B" + "GG" + "RLE"
    waits = [(i.wait_array, i.wait_loss) for i in compiled.instructions[1:16]]
    free = (NO_WAIT, 0)
    assert waits == [
        *[(0, 0), free],
        *[(1, 0), free, (1, 1), (2, 0)],
        *[free, (1, 1), (2, 0), (1, 0)],
        *[(1, 1), (0, 1)],
        (0, 1),
        *[(0, 1), free],
    ]
    depths = [i.depth for i in compiled.instructions if i.opcode == Opcode.FORWARD]
    assert depths == [65, 65, 33, 65, 33, 65, 33, 33]
    loop = compiled.instructions[-2]
    assert (loop.opcode, loop.rows) == (Opcode.LOOP, compiled.entry(Mode.TRAIN, 32))
    gradients = [i for i in compiled.instructions if i.opcode == Opcode.GRADIENT]
    assert [g.statistic for g in gradients] == [7, 2]


@pytest.mark.parametrize(
    ("config", "sizes", "batch"),
    [
        (SPRAM, (125, 125, 32), 2),
        (SPRAM, (3, *[60] * 7, 2), 2),
        (SPRAM, (3, 2), 64),
        (UP5K, (14, 12, 10), 8),
        (ECP5, (500, 50, 20), 8),
    ],
)
def test_fields_are_of_the_bits_that_a_device_looks_at(config, sizes, batch):
    compiled = compile_network(regression(sizes), Rule(rate=0.1), config=config, train=(batch,))
    bits = used_bits(config)
    for instruction in compiled.instructions:
        for name, width in bits.items():
            assert getattr(instruction, name) < 1 << width, (name, instruction)


def test_a_layer_that_spikes_ends_a_row_of_forwards():
    network = spiking((9, 20, 12, 10, 8, 3), "LRSR")
    compiled = compile_network(network, SGD, config=SPIKING, train=(24,))
    listed = [i.opcode for i in compiled.instructions]
    opcodes = "".join(Opcode(opcode).name[0] for opcode in listed)
    assert opcodes == "A" + "FFFFFF" + "R" + "FFFFLFFLL" + "B" * 8 + "GGGGG" + "RLE"
    first, respond = compiled.instructions[1], compiled.instructions[7]
    assert (first.activation, first.fraction) == (Activation.LEAKY_RELU, 9)
    assert respond.opcode == Opcode.RESPOND and (respond.rows, respond.columns) == (10, 24)
    neuron = network.neurons[2]
    assert (respond.depth, respond.leak_shift, respond.gate) == (20, 3, 2048)
    assert neuron is not None and neuron.exponent == 5 and neuron.threshold == 1
    assert (respond.shift, respond.fraction) == (9 - 5, 15 - 5)
    activity, slope = compiled.memory.activations[2], compiled.memory.slopes[3]
    assert respond.right_base == respond.dest_base == activity.layout.base
    assert respond.left_base == slope.layout.base
    assert respond.right_outer == respond.dest_outer == activity.layout.stride
    currents = [i for i in compiled.instructions if i.opcode == Opcode.FORWARD and i.rows == 10]
    assert {(i.activation, i.fraction, i.shift) for i in currents} == {(0, 11, 12 + 9 - 11)}
    gates = [i for i in compiled.instructions if i.opcode == Opcode.BACKWARD]
    for gate in gates:
        layer = network.sizes.index(gate.rows)
        assert (gate.activation == Activation.SURROGATE) == (layer == 3)
        tensor = slope if layer == 3 else compiled.memory.activations[layer - 1]
        first_tile = gate.dest_base - compiled.memory.deltas[layer - 1].layout.base
        assert gate.gate - tensor.layout.base == first_tile
        assert gate.dest_outer == tensor.layout.stride


def test_formats_follow_the_steps():
    neuron = Neuron(steps=64, leak_shift=0, threshold=0.75)
    formats = Formats(current=Format(2, 13), activation=Format(7, 8))
    network = Network(
        sizes=(4, 3, 2), activations=(5, 0), neurons=(neuron, None), formats=formats
    )
    compiled = compile_network(network, SGD, config=SPIKING, predict=(4,))
    (respond,) = [i for i in compiled.instructions if i.opcode == Opcode.RESPOND]
    assert (respond.shift, respond.fraction, respond.leak_shift) == (8 - 6, 15 - 6, 0)
    assert respond.gate == 0.75 * 2**13
    assert "in 64 steps, leak 2**-0, threshold 6144" in compiled.listing()


def spiking(sizes: tuple[int, ...], hidden: str) -> Network:
    """A network whose hidden layers are ReLU (L: leaky, S: spiking)."""
    kinds = {"R": Activation.RELU, "L": Activation.LEAKY_RELU, "S": Activation.SURROGATE}
    activations = (*(kinds[letter] for letter in hidden), Activation.LINEAR)
    return Network(sizes=sizes, activations=activations)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("size", [1, 8, 17, 40])
@pytest.mark.parametrize(
    ("sizes", "hidden"),
    [
        *[((6, 3), ""), ((9, 8, 2), "R"), ((5, 17, 9, 3), "RR"), ((4, 7, 8, 9, 3), "RRR")],
        *[((9, 8, 2), "S"), ((5, 17, 9, 3), "RS"), ((5, 17, 9, 3), "SR"), ((5, 17, 9, 3), "SS")],
        ((4, 7, 8, 9, 3), "RSR"),
    ],
)
def test_every_read_waits_for_the_write_before_it(sizes, hidden, size, mode):
    network = spiking(sizes, hidden)
    config = SPIKING if "S" in hidden else ECP5
    compiled = compile_network(network, SGD, config=config, **{mode.value: (size,)})
    check_waits(compiled.instructions)


@pytest.mark.parametrize("clip_norm", [None, 1.0])
@pytest.mark.parametrize("at_once", [4, 9, 17])
def test_batches_of_an_update_wait_for_each_other(at_once, clip_norm):
    rule = replace(SGD, clip_norm=clip_norm)
    compiled = compile_network(
        spiking((5, 17, 9, 3), "RR"), rule, config=FULL, train=(40,), at_once=at_once
    )
    check_waits(compiled.instructions)


def check_waits(instructions: Sequence[Instruction]) -> None:
    """Each command starts when what it reads has been written."""
    # By tile: the number of the array command that wrote it, or None for LOSS.
    started, finished, loss_idle = 0, 0, True
    written: dict[tuple[str, int], int | None] = {}
    for i in instructions:
        if i.wait_array != NO_WAIT:
            finished = max(finished, started - i.wait_array)
        loss_idle = loss_idle or bool(i.wait_loss)
        if i.opcode in (Opcode.RESPOND, Opcode.CLIP):
            finished, loss_idle = started, True
        for tile in tiles_read(i):
            number = written.get(tile, 0)
            assert loss_idle if number is None else number <= finished, (i, tile)
        if i.opcode in ARRAY_OPCODES:
            started += 1
            written |= dict.fromkeys(tiles_written(i), started)
        if i.opcode == Opcode.RESPOND:
            written |= dict.fromkeys(tiles_written(i), started)
        if i.opcode == Opcode.LOSS:
            loss_idle = False
            written |= dict.fromkeys(tiles_written(i), None)


def tiles_read(i: Instruction) -> set[tuple[str, int]]:
    """Tiles of OUTPUT, ACTIVATION, DELTA and GRADIENT that a command of an 8x8 array reads.

    It may read tiles for a product that it then drops, as a GRADIENT that clips does.
    """
    rows, columns, depth = (-(-n // 8) for n in (i.rows, i.columns, i.depth))
    if i.opcode == Opcode.LOSS:
        return {("OUTPUT", i.right_base + c * i.right_outer + r) for c, r in grid(columns, rows)}
    if i.opcode == Opcode.RESPOND:
        places = grid(columns, rows)
        return {("ACTIVATION", i.right_base + c * i.right_outer + r) for c, r in places}
    right = "ACTIVATION" if i.source == Source.ACTIVATION else "INPUT"
    found = set()
    if i.opcode == Opcode.BACKWARD:
        right = "DELTA"
        found = {("ACTIVATION", i.gate + c * i.dest_outer + r) for c, r in grid(columns, rows)}
    if i.opcode == Opcode.GRADIENT:
        if i.flags >> GradientFlag.CLIP & 1:
            return weight_tiles(i, "GRADIENT")
        if i.flags >> GradientFlag.ADD & 1:
            found = weight_tiles(i, "GRADIENT")
        found |= {("DELTA", i.left_base + r + k * i.left_depth) for r, k in grid(rows, depth)}
    if i.opcode in ARRAY_OPCODES:
        for c, k in grid(columns, depth):
            found.add((right, i.right_base + c * i.right_outer + k * i.right_depth))
    return {tile for tile in found if tile[0] != "INPUT"}


def tiles_written(i: Instruction) -> set[tuple[str, int]]:
    """Tiles of OUTPUT, ACTIVATION, DELTA and GRADIENT that a command of an 8x8 array writes."""
    if i.opcode == Opcode.GRADIENT:
        return weight_tiles(i, "GRADIENT") if i.flags >> GradientFlag.HOLD & 1 else set()
    region = "OUTPUT" if i.destination == Destination.OUTPUT else "ACTIVATION"
    if i.opcode not in (Opcode.FORWARD, Opcode.RESPOND):
        region = "DELTA"
    rows, columns = -(-i.rows // 8), -(-i.columns // 8)
    bases = (i.dest_base, i.left_base) if i.opcode == Opcode.RESPOND else (i.dest_base,)
    places = [(base, *place) for base in bases for place in grid(columns, rows)]
    return {(region, base + c * i.dest_outer + r) for base, c, r in places}


def weight_tiles(i: Instruction, region: str) -> set[tuple[str, int]]:
    """Tiles of the weights that a GRADIENT of an 8x8 array changes."""
    rows, columns = -(-i.rows // 8), -(-i.columns // 8)
    places = grid(rows, columns)
    return {(region, i.dest_base + r * i.dest_inner + c * i.dest_outer) for r, c in places}


def grid(*shape: int) -> list[tuple[int, ...]]:
    return list(np.ndindex(*shape))


@pytest.mark.parametrize("size", [1, 7, 8, 9, 31, 32, 33, 40, 100])
def test_chunks_cover_the_batch_once(size):
    compiled = digits(train=(size,))
    loss = [i for i in compiled.instructions if i.opcode == Opcode.LOSS]
    forward = [i for i in compiled.instructions if i.opcode == Opcode.FORWARD]
    hidden, output = ([i for i in forward if i.depth == depth] for depth in (65, 33))
    assert len(loss) == len(output) == len(hidden) == min(4, -(-size // 8))
    assert [i.columns for i in loss] == [i.columns for i in output] == [i.columns for i in hidden]
    assert all(i.columns <= 8 for i in loss[-2:])
    assert sum(i.columns for i in loss) == size
    expected = 0
    for lo, fo, hi in zip(loss, output, hidden, strict=True):
        assert lo.right_base == fo.dest_base == expected * lo.right_outer
        assert lo.left_base == expected and fo.right_base == expected * fo.right_outer
        assert hi.dest_base == fo.right_base and hi.right_base == expected * hi.right_outer
        expected += -(-lo.columns // 8)
    residual = loss[0].gate / 2**15
    assert abs(residual * size - 2 ** (size.bit_length() - 1)) <= size * 2**-16


def test_entries_and_words():
    compiled = digits(train=(32, 29), evaluate=(32, 8), predict=(8,))
    assert set(compiled.entries) == {
        (Mode.TRAIN, 32),
        (Mode.TRAIN, 29),
        (Mode.EVALUATE, 32),
        (Mode.EVALUATE, 8),
        (Mode.PREDICT, 8),
    }
    words = compiled.program.reshape(-1, 16)
    assert [Instruction.decode(row.tolist()) for row in words] == list(compiled.instructions)
    for start in compiled.entries.values():
        assert compiled.instructions[start].opcode == Opcode.ACQUIRE
    with pytest.raises(CompileError, match=r"predict was compiled for batches of \[8\], not 7"):
        compiled.entry(Mode.PREDICT, 7)


def test_listing_names_programs_and_commands():
    listing = digits(evaluate=(5,)).listing()
    assert "train, batches of 32:" in listing and "evaluate, batches of 5:" in listing
    assert "relu(WEIGHT 0+9,1 x INPUT 0+9,1) >> 12" in listing
    assert "cross_entropy(OUTPUT" in listing


def test_fewer_chunks_where_the_program_memory_is_short():
    network = regression((5, 9, 3))
    sizes = {"train": (12, 3), "evaluate": (12, 3), "predict": (12,)}
    compiled = compile_network(network, Rule(rate=0.01), config=UP5K, **sizes)
    assert len(compiled.instructions) <= UP5K.program_length
    assert sum(i.opcode == Opcode.LOSS for i in compiled.instructions) < 4 * 4


# Memory map


@pytest.mark.parametrize(
    "config", [c for c in CONFIGURATIONS.values() if c.supervised], ids=lambda c: c.name
)
@pytest.mark.parametrize("sizes", [(1, 2), (8, 8, 8), (7, 5, 9, 3)])
def test_tensors_do_not_overlap(config, sizes):
    hidden = Activation.SURROGATE if config.spiking else Activation.RELU
    network = dense(sizes, hidden, loss=Loss.MEAN_SQUARED_ERROR, class_target=False)
    compiled = compile_network(network, Rule(rate=0.01), config=config, train=(5,))
    for region, size in region_words(config).items():
        taken = np.zeros(size, int)
        for tensor in compiled.memory:
            if tensor.region == region:
                taken[tensor.layout.addresses()] += 1
        assert taken.max(initial=0) <= 1


def test_constant_ones_stand_beside_features():
    compiled = digits(train=(13,))
    image = {r: np.zeros(n, np.int16) for r, n in region_words(ECP5).items()}
    for region, address, words in compiled.memory.ones():
        image[region][address : address + len(words)] = words
    for tensor in (*compiled.memory.inputs, *compiled.memory.activations):
        matrix = tensor.layout.gather(image[tensor.region])
        assert np.all(matrix[:, -1] == 512) and not matrix[:, :-1].any()


def test_locate_is_the_inverse_of_the_layout():
    compiled = digits()
    for tensor in compiled.memory:
        addresses = tensor.layout.addresses()
        for row, column in ((0, 0), (3, 5 % addresses.shape[1]), (-1, -1)):
            expected = np.unravel_index(
                np.flatnonzero(addresses.reshape(-1) == addresses[row, column])[0], addresses.shape
            )
            place = f"{tensor}, row {expected[0]}, column {expected[1]}"
            assert compiled.memory.locate(tensor.region, int(addresses[row, column])) == place
    assert "no tensor" in compiled.memory.locate(Region.WEIGHT, 512 * 64 - 1)
    assert compiled.memory.locate(Region.TARGET, 1) == "TARGET word 1, which no tensor uses"


def test_tensor_shapes_are_checked():
    with pytest.raises(ValueError, match=r"weight of layer 1 must be of shape \(32, 65\)"):
        digits().memory.weights[0].image(np.zeros((32, 64), np.int16))


# What does not fit


def refusal(network, config, rule=None, **sizes):
    rule = rule or Rule(rate=0.01)
    with pytest.raises(CompileError) as caught:
        compile_network(network, rule, config=config, **(sizes or {"train": (4,)}))
    return str(caught.value)


def test_too_large_networks_are_refused_with_numbers():
    text = refusal(regression((64, 32, 10)), UP5K, train=(2,))
    assert "network needs 163 tiles of WEIGHT, up5k-4x2 has 64" in text
    text = refusal(regression((40, 3, 2)), UP5K, train=(32,))
    assert "176 tiles of INPUT, up5k-4x2 has 32: take batches of at most 4 samples" in text
    text = refusal(regression((120, 60, 2)), UP5K, train=(4,))
    assert "tiles of INPUT" in text and "narrower" in text and "\n" in text
    text = refusal(regression((3, *[120] * 6, 2)), SPRAM, train=(2,))
    assert "network needs 4711 tiles of WEIGHT, up5k-4x2-spram has 4096: take narrower" in text
    text = refusal(regression((64, 32, 10)), SPRAM, train=(16,))
    assert "136 tiles of INPUT, up5k-4x2-spram has 128: take batches of at most 14 sam" in text


def test_missing_features_are_refused():
    text = refusal(dense((4, 3, 2), Activation.TANH), UP5K)
    assert "needs tanh" in text and "cross-entropy loss, which up5k-4x2 leaves out" in text
    text = refusal(regression(), UP5K, Rule(rate=0.1, momentum=0.5))
    assert "momentum, which up5k-4x2 leaves out: set it to 0" in text
    text = refusal(regression((3, 40)), UP5K, train=(1,))
    assert "40 outputs, the loss unit of up5k-4x2 takes 32" in text
    text = refusal(regression((3, 2)), UP5K, train=(600,))
    assert "batch of 600" in text and "at most 126" in text
    text = refusal(regression((2,) * 14), ECP5)
    assert "13 layers, devices have them for 12" in text
    for config in (ECP5, UP5K):
        text = refusal(spiking((4, 3, 2), "S"), config)
        assert f"neurons that spike (lif), which {config.name} leaves out: take relu" in text
    text = refusal(spiking((4, 3, 2), "S"), configuration("ecp5-8-spiking"))
    assert "backpropagation, which ecp5-8-spiking leaves out" in text


def test_programs_and_sizes_are_refused():
    text = refusal(regression((2, 2)), UP5K, train=tuple(range(1, 12)))
    assert "instructions, up5k-4x2 has 64" in text
    for size in (0, -1, 2.5):
        assert "whole number of samples >= 1 to train" in refusal(regression(), ECP5, train=(size,))
    with pytest.raises(CompileError, match="at least one batch size"):
        compile_network(regression(), SGD, config=ECP5)


def test_rates_are_refused():
    assert "rate must be below 1" in refusal(regression(), ECP5, Rule(rate=1.0))
    assert "below the least constant" in refusal(regression(), ECP5, Rule(rate=1e-12))
    assert "rate * decay" in refusal(regression(), ECP5, Rule(rate=0.5, decay=2.0))
    for wrong in ({"rate": 0}, {"rate": np.nan}, {"rate": 1, "momentum": 1.0}):
        with pytest.raises(ValueError, match="must be"):
            Rule(**wrong)


def test_shifts_are_refused():
    formats = Formats(input=Format(14, 1), activation=Format(14, 1), delta=Format(15, 0))
    text = refusal(regression(formats=formats), ECP5)
    assert "GRADIENT of layer" in text and "right shift of -" in text and "Q14.1" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": (4,), "activations": ()}, "sizes must be"),
        ({"sizes": (4, 0, 2), "activations": (0, 0)}, "at least 1 neuron"),
        ({"sizes": (4, 2), "activations": (0, 0)}, "one for each of 1 layers, not 2"),
        ({"sizes": (4, 2), "activations": (1,)}, "must be LINEAR.*not RELU"),
        ({"sizes": (4, 2), "activations": (0,), "class_target": False}, "class indices"),
        ({"sizes": (4, 1), "activations": (0,)}, "at least 2 outputs"),
        ({"sizes": (4, 2), "activations": (0,), "leak_shift": 0}, "from 1 to 15, not 0"),
        (
            {"sizes": (4, 2), "activations": (0,), "formats": Formats(output=Format(6, 9))},
            "must be Q7.8, not Q6.9",
        ),
        (
            {
                "sizes": (4, 3, 2),
                "activations": (Activation.TANH, Activation.LINEAR),
                "formats": Formats(activation=Format(8, 7)),
            },
            "8 to 14 fraction bits, not Q8.7",
        ),
        (
            {"sizes": (4, 3, 2), "activations": (1, 0), "neurons": (Neuron(), None)},
            "neurons must be given for the layers with the activation SURROGATE",
        ),
        ({"sizes": (4, 3, 2), "activations": (5, 0), "neurons": (Neuron(),)}, "None.*for the oth"),
        ({"sizes": (4, 3), "activations": (5,)}, "last layer's activation must be LINEAR"),
        (
            {"sizes": (4, 3, 2), "activations": (5, 0), "neurons": (Neuron(threshold=16), None)},
            "threshold must be from 0.000488281 to 15.9995 in the format of currents, Q4.11, not 1",
        ),
        (
            {"sizes": (4, 3, 2), "activations": (5, 0), "neurons": (Neuron(threshold=1e-4), None)},
            "threshold must be from",
        ),
        (
            {
                "sizes": (4, 3, 2),
                "activations": (5, 0),
                "neurons": (Neuron(steps=255), None),
                "formats": Formats(activation=Format(8, 7)),
            },
            "at least 8 fraction bits for the spikes of 255 steps, not Q8.7",
        ),
        (
            {"sizes": (4, 2), "activations": (0,), "formats": Formats(input=Format(0, 15))},
            "hold 1.0, which Q0.15 does not",
        ),
    ],
)
def test_networks_are_validated(options, message):
    with pytest.raises(ValueError, match=message):
        Network(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a whole number from 1 to 255, not 0"),
        ({"steps": 256}, "from 1 to 255, not 256"),
        ({"steps": 2.5}, "not 2.5"),
        ({"steps": True}, "not True"),
        ({"leak_shift": 16}, "leak_shift must be a whole number from 0 to 15, not 16"),
        ({"leak_shift": -1}, "from 0 to 15"),
        ({"threshold": 0}, "threshold must be above 0 and finite, not 0"),
        ({"threshold": np.inf}, "threshold must be above 0 and finite"),
    ],
)
def test_neurons_are_validated(options, message):
    with pytest.raises(ValueError, match=message):
        Neuron(**options)


# Registers


def test_rule_registers():
    registers = rule_registers(Rule(rate=2**-4, momentum=0.9, decay=0.001), dense((4, 2)), ECP5)
    assert registers[Register.MOMENTUM_FACTOR] == round(0.9 * 65536)
    for mantissa, shift, value in (
        (Register.RATE, Register.RATE_SHIFT, 2**-4),
        (Register.DECAY, Register.DECAY_SHIFT, 2**-4 * 0.001),
    ):
        real = registers[mantissa] * 2.0 ** -(16 + registers[shift])
        assert abs(real / value - 1) < 2**-15
    formats = Formats(weight=Format(4, 11))
    other = rule_registers(Rule(rate=2**-4), dense((4, 2), formats=formats), ECP5)
    assert other[Register.RATE] * 2.0 ** -(16 + other[Register.RATE_SHIFT]) == 2**-5


def test_rule_may_change_but_not_gain_a_momentum():
    compiled = compile_network(dense((4, 2)), Rule(rate=0.1), config=ECP5, train=(4,))
    assert not compiled.momentum
    assert compiled.rule_registers(Rule(rate=0.05))[Register.RATE] > 0
    with pytest.raises(CompileError, match="keep no momentum"):
        compiled.rule_registers(SGD)


# Samples


def test_bytes_where_all_inputs_are_shifted_bytes():
    compiled = digits()
    x = np.random.default_rng(0).integers(0, 17, (20, 64)) / 16
    samples = compiled.encode(x, np.arange(20) % 10)
    assert samples.rows.shape == (20, 65) and len(samples) == 20
    shift = samples.registers[Register.SAMPLE_FORMAT] >> 4
    assert samples.registers[Register.SAMPLE_FORMAT] == shift << 4
    assert np.array_equal(samples.rows[:, :64].astype(int) << shift, (x * 512).astype(int))
    assert samples.batch(3, 5) == samples.rows[3:5].tobytes()
    order = np.arange(20)[::-1]
    other = samples.shuffled(order)
    assert np.array_equal(other.rows, samples.rows[order])
    assert other.shuffled(order, out=other) is other
    predicted = compiled.encode(x)
    assert predicted.registers[Register.TARGETS] == 0 and predicted.rows.shape == (20, 64)


def test_signed_bytes_and_words():
    compiled = compile_network(regression(), SGD, config=ECP5, train=(4,))
    x = np.array([[-1, 0.5, 0, 0.25]])
    signed = compiled.encode(x, [[0.5, -3]])
    bits = signed.registers[Register.SAMPLE_FORMAT]
    assert bits & 15 == 1 << SampleFormat.SIGNED_INPUT | 1 << SampleFormat.WIDE_TARGET
    words = signed.rows[:, :4].view(np.int8).astype(int) << (bits >> 4)
    assert words.tolist() == [[-512, 256, 0, 128]]
    assert signed.rows[:, 4:].view("<i2").tolist() == [[256, -1536]]
    wide = compiled.encode([[1 / 512, 60, 0, -60]], [[0, 0]])
    assert wide.registers[Register.SAMPLE_FORMAT] == 1 << SampleFormat.WIDE_INPUT
    assert wide.rows[:, :8].view("<i2").tolist() == [[1, 30720, 0, -30720]]
    zero = compiled.encode(np.zeros((2, 4)), np.zeros((2, 2)))
    assert zero.rows.shape == (2, 6)


def test_encoding_rounds_halves_upwards_and_reaches_the_ends():
    fmt = Format(6, 9)
    assert encode([0.5 / 512, -0.5 / 512, 1.4 / 512], fmt).tolist() == [1, 0, 1]
    assert encode([fmt.minimum, fmt.maximum], fmt).tolist() == [-(2**15), 2**15 - 1]
    words = np.array([-512, 256], np.int16)
    assert decode(words, fmt).tolist() == decode(words.view(np.uint16), fmt).tolist() == [-1, 0.5]


def test_values_outside_the_format_name_the_column():
    compiled = compile_network(regression(), SGD, config=ECP5, train=(4,))
    x = np.zeros((5, 4))
    x[:, 2] = [0, 10, 900, -3, 5]
    with pytest.raises(RangeError) as caught:
        compiled.encode(x, np.zeros((5, 2)))
    text = str(caught.value)
    assert "(Q6.9)" in text and "column 2 goes from -3 to 900" in text
    assert "divide it by 16" in text and "Q10.5" in text
    assert encode(x / 16, Format(6, 9)).shape == (5, 4)
    for value in (64, -64.1, 1e30):
        x[0, 1] = value
        with pytest.raises(RangeError, match="column 1.*1 more columns"):
            compiled.encode(x, np.zeros((5, 2)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_values_are_refused(value):
    x = np.zeros((5, 64))
    x[3, 7] = value
    with pytest.raises(RangeError, match="finite, but -?(nan|inf) stands in column 7, row 3"):
        digits().encode(x, np.zeros(5))


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (np.zeros((0, 64)), [], "N >= 1"),
        (np.zeros((3, 63)), [0, 0, 0], "N x 64"),
        (np.zeros((3, 64)), [0, 0], "target for each of 3 samples, not 2"),
        (np.zeros((2, 64)), [0, 10], r"from 0 to 9, not 10 \(sample 1\)"),
        (np.zeros((2, 64)), [-1, 0], "from 0 to 9, not -1"),
        (np.zeros((2, 64)), [0.5, 0], "whole numbers"),
        (np.zeros((2, 64)), [[0], [1]], "class indices"),
    ],
)
def test_samples_are_checked(inputs, labels, message):
    with pytest.raises(RangeError, match=message):
        digits().encode(inputs, np.array(labels))
