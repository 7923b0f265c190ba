"""Lockstep of two devices finds a planted one-bit fault at the right command and element."""

from collections.abc import Callable

import numpy as np
import pytest

from host.compiler import Compiled, compile_network
from host.devices.golden_device import GoldenDevice
from host.network import Rule, dense
from host.program import Mode
from hw.configurations import configuration
from hw.isa import Opcode, Region
from sim.compare import Divergence, Every, Lockstep

BATCH = 5
ROUNDS = 3
CONFIG = configuration("ecp5-8x8")


class FaultyDevice(GoldenDevice):
    """A golden device in which one bit flips after its n-th instruction of a kind."""

    def __init__(self, opcode: Opcode, count: int, flip: Callable[[GoldenDevice], None]):
        super().__init__(CONFIG)
        self.name = "faulty"
        execute = self.executor._execute
        seen = 0

        def execute_and_flip(instruction):
            nonlocal seen
            done = execute(instruction)
            seen += instruction.opcode == opcode
            if instruction.opcode == opcode and seen == count:
                flip(self)
            return done

        self.executor._execute = execute_and_flip


def compiled() -> Compiled:
    network = dense((7, 11, 3))
    rule = Rule(rate=2**-4, momentum=0.9, decay=1e-3)
    return compile_network(network, rule, config=CONFIG, train=[BATCH])


def train(device: Lockstep, program: Compiled) -> None:
    rng = np.random.default_rng(7)
    weights = [rng.normal(0, 0.5, shape) for shape in program.network.weight_shapes]
    samples = program.encode(rng.uniform(-2, 2, (BATCH * ROUNDS, 7)), rng.integers(0, 3, 15))
    program.load(device, program.encode_weights(weights))
    for register, value in samples.registers.items():
        device.write(Region.REGISTERS, register, [value])
    device.run(program.entry(Mode.TRAIN, BATCH), ROUNDS)
    for start in range(0, BATCH * ROUNDS, BATCH):
        device.stream(samples.batch(start, start + BATCH))
    device.wait()


@pytest.mark.parametrize("every", Every)
def test_equal_devices_agree(every: Every) -> None:
    program = compiled()
    with Lockstep(GoldenDevice(CONFIG), GoldenDevice(CONFIG), every=every) as pair:
        train(pair, program)
        assert (pair.commands > 8 * ROUNDS) == (every is Every.COMMAND)


def flip_tensor(name: str, layer: int, row: int, column: int) -> Callable[[GoldenDevice], None]:
    def flip(device: GoldenDevice) -> None:
        tensors = [t for t in compiled().memory if (t.name, t.layer) == (name, layer)]
        address = tensors[0].layout.addresses()[row, column]
        device.executor.images[tensors[0].region].reshape(-1)[address] ^= 1

    return flip


def flip_lfsr(device: GoldenDevice) -> None:
    half = device.executor.read(Region.LFSR, 13, 1)
    device.executor.write(Region.LFSR, 13, half ^ 2)


@pytest.mark.parametrize(
    ("opcode", "count", "flip", "place"),
    [
        (Opcode.GRADIENT, 3, flip_tensor("weight", 2, 1, 4), "weight of layer 2, row 1, column 4"),
        (Opcode.FORWARD, 1, flip_tensor("weight", 1, 10, 7), "weight of layer 1, row 10, column 7"),
        (Opcode.LOSS, 2, flip_tensor("delta", 2, 3, 2), "delta of layer 2, row 3, column 2"),
        (Opcode.BACKWARD, 2, flip_tensor("delta", 1, 4, 9), "delta of layer 1, row 4, column 9"),
        (Opcode.GRADIENT, 5, flip_lfsr, "LFSR of lane 6, high half"),
    ],
)
def test_planted_fault_is_found(opcode, count, flip, place) -> None:
    program = compiled()
    with Lockstep(
        GoldenDevice(CONFIG),
        FaultyDevice(opcode, count, flip),
        every=Every.COMMAND,
        locate=program.memory.locate,
    ) as pair:
        with pytest.raises(Divergence) as caught:
            train(pair, program)
        difference = caught.value.difference
        assert difference.place == place
        assert opcode.name in difference.command
        first, second = difference.values
        assert bin((first ^ second) & 0xFFFF).count("1") == 1
        assert difference.count == 1
        # Nothing after the command that failed was carried out.
        flipped = [i for i, each in enumerate(program.instructions) if each.opcode == opcode]
        assert f"instruction {flipped[(count - 1) % len(flipped)]} " in difference.command


def test_fault_is_found_at_the_end_of_a_program() -> None:
    program = compiled()
    flip = flip_tensor("weight", 2, 0, 0)
    with Lockstep(GoldenDevice(CONFIG), FaultyDevice(Opcode.END, 1, flip)) as pair:
        with pytest.raises(Divergence, match="WEIGHT word"):
            train(pair, program)


def test_refuses_devices_of_different_configurations() -> None:
    with pytest.raises(ValueError, match="same configuration"):
        Lockstep(GoldenDevice(CONFIG), GoldenDevice(configuration("ecp5-16x8")))
