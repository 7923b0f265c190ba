"""The microcode of a serial spiking device: each of its commands, neuron by neuron, step by step.

    command --> entry --> for each neuron of a population, or for each spike of a list and each of
                          its synapses: words of STATE, EVENTS, WEIGHT and INPUT --> sum --> words

`sim.golden.spiking` is the arithmetic.
"""

from hw.assembler import Assembler
from hw.encoder_microcode import Encoder
from hw.isa import Opcode
from hw.microcode_routines import Routines
from hw.neuron_microcode import Neurons
from hw.synapse_microcode import Synapses

ENTRY_BITS = 4
"""Bits of an opcode, from the lowest, that are the number of the step it begins with."""


def microcode(lanes: int) -> list[int]:
    """The words of the microcode, from step 0 on, for L lanes."""
    asm = Assembler(first=1 << ENTRY_BITS)
    neurons, synapses = Neurons(asm, lanes), Synapses(asm, lanes)
    Routines(asm, lanes).write()
    commands = {
        Opcode.RESET: neurons.reset,
        Opcode.ENCODE: Encoder(asm, lanes).write,
        Opcode.INTEGRATE: synapses.integrate,
        Opcode.FIRE: neurons.fire,
        Opcode.CLIMB: neurons.climb,
        Opcode.PLASTICITY: synapses.plasticity,
        Opcode.SCALE: synapses.scale,
    }
    for opcode, write in commands.items():
        asm.entry(opcode % (1 << ENTRY_BITS), opcode.name)
        asm.label(opcode.name)
        write()
    return asm.words()
