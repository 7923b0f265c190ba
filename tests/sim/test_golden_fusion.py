"""Fused commands do to the golden device what the commands do one by one."""

import numpy as np
import pytest

from host.compiler import compile_network
from host.devices.golden_device import GoldenDevice
from host.network import Rule, dense
from host.program import Mode
from hw.configurations import configuration
from hw.isa import Instruction, Opcode, Region, State
from sim.compare import differing_words, read_state
from sim.golden.fusion import fuse

CONFIG = configuration("ecp5-8x8")
NETWORKS = [((6, 3), 21), ((9, 8, 2), 40), ((5, 17, 9, 3), 37), ((4, 7, 8, 9, 3), 64)]


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize(("sizes", "batch"), NETWORKS)
def test_a_program_and_its_steps_end_alike(sizes, batch, dropout):
    """With dropout too, whose pieces draw from the LFSRs in their order."""
    network = dense(sizes, dropout=(*(dropout,) * (len(sizes) - 2), 0.0))
    rule = Rule(rate=2**-4, momentum=0.9)
    compiled = compile_network(network, rule, config=CONFIG, train=(batch,))
    random = np.random.default_rng(batch)
    weights = compiled.encode_weights([random.normal(0, 0.5, s) for s in network.weight_shapes])
    samples = compiled.encode(
        random.uniform(-2, 2, (batch, sizes[0])), random.integers(0, sizes[-1], batch)
    )
    states = []
    for stepping in (False, True):
        device = GoldenDevice(CONFIG)
        compiled.load(device, weights)
        for register, value in samples.registers.items():
            device.write(Region.REGISTERS, register, value)
        device.stream(samples.batch(0, batch))
        entry = compiled.entry(Mode.TRAIN, batch)
        if stepping:
            device.step(entry)
            while device.poll().state == State.HALTED and device.poll().credits < 2:
                device.step(entry)
            while device.poll().state == State.HALTED:
                device.step(entry)
        else:
            device.run(entry, 1)
            device.wait()
        states.append(read_state(device))
    assert not list(differing_words(*states))


@pytest.mark.parametrize(("sizes", "batch"), NETWORKS)
def test_every_layer_is_one_command_again(sizes, batch):
    compiled = compile_network(dense(sizes), Rule(rate=0.1), config=CONFIG, train=(batch,))
    layers = len(sizes) - 1
    expected = [Opcode.FORWARD] * layers + [Opcode.LOSS] + [Opcode.BACKWARD] * (layers - 1)
    expected += [Opcode.GRADIENT] * layers
    fused = fuse(compiled.instructions[1:-3], CONFIG)
    assert [i.opcode for i in fused] == expected
    assert all(i.columns == batch for i in fused[: 2 * layers])


def test_what_reads_the_first_piece_stays_behind_it():
    """In ACTIVATION, the second piece reads what the first one wrote."""
    first = Instruction(
        opcode=Opcode.FORWARD,
        source=1,
        rows=8,
        columns=8,
        depth=8,
        right_outer=1,
        dest_base=1,
        dest_outer=1,
        left_depth=1,
    )
    second = Instruction(**{**vars(first), "right_base": 1, "dest_base": 2})
    assert fuse([first, second], CONFIG) == [first, second]
