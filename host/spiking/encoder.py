"""The inputs of a spiking network on the device: ENCODE, and what it works on.

    INPUT --ENCODE--> list of the inputs that spike
                  --> their traces, in the population of the inputs
"""

from dataclasses import dataclass

from host.spiking.allocator import Allocator
from host.spiking.constants import Shifted, scaled
from host.spiking.memory import Write
from host.spiking.network import Encoding, SpikingNetwork
from hw import spiking
from hw.isa import Instruction, Opcode
from hw.spiking import EncodeFlag, EncoderParameter, Variable

KINDS = {
    "rate": spiking.Encoding.RATE,
    "poisson": spiking.Encoding.POISSON,
    "latency": spiking.Encoding.LATENCY,
    "level": spiking.Encoding.LEVEL,
}

KEPT_PER_SAMPLE = (Variable.POTENTIAL, Variable.TRACE, Variable.COUNT)
"""What a sample begins without."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Words of a presynaptic trace: what a spike adds (or sets it to), and its decay.

    Under latency encoding it rises by the increment in every step after the spike.
    """

    increment: int
    decay: int = 0
    sets: bool = False


class Encoder:
    """The inputs.

    Parameters
    ----------
    network: with its encoding
    trace: of the inputs' spikes
    place: what gives out the device's memories

    Attributes
    ----------
    population: of the inputs
    spikes: those of the step
    rows: rows of INPUT for a sample
    """

    def __init__(self, network: SpikingNetwork, trace: Trace, place: Allocator):
        assert network.encoding is not None
        self._encoding, self._trace = network.encoding, trace
        self.rows = network.encoding.steps if network.encoding.kind == "level" else 1
        self._input = place.inputs(self.rows, network.inputs, network.formats.input)
        place.label(self.rows)
        self.population = place.population("inputs", network.inputs)
        self.spikes = place.spikes("input spikes", network.inputs)
        self._block = place.block("encoding", EncoderParameter)
        self._gain = gain(network.encoding, network.formats.input.fraction)

    @property
    def trace_row(self) -> int:
        """The first row of the traces, which are POPULATION_ROWS apart."""
        return self.population.row + Variable.TRACE

    def constants(self) -> list[Write]:
        """The parameters."""
        values = {
            EncoderParameter.GAIN: self._gain.word,
            EncoderParameter.LAST_STEP: self._encoding.steps - 1,
            EncoderParameter.TRACE_DECAY: self._trace.decay,
            EncoderParameter.TRACE_INCREMENT: self._trace.increment,
        }
        return [self._block.write(values)]

    def begin(self) -> Instruction:
        """What comes before the first step of a sample."""
        return Instruction(
            opcode=Opcode.RESET,
            flags=sum(1 << variable for variable in KEPT_PER_SAMPLE),
            rows=self.population.size,
            dest_base=self.population.row,
        )

    def step(self) -> Instruction:
        """A time step."""
        flags = EncodeFlag.SET_TRACE if self._trace.sets else EncodeFlag(0)
        if self.rows > 1:
            flags |= EncodeFlag.EACH_STEP
        return Instruction(
            opcode=Opcode.ENCODE,
            activation=KINDS[self._encoding.kind],
            shift=self._gain.shift,
            flags=flags,
            rows=self.population.size,
            left_base=self._input.layout.base,
            left_inner=self._input.layout.stride,
            right_depth=self._block.row,
            dest_base=self.population.row,
            gate=self.spikes.start,
        )


def gain(encoding: Encoding, fraction: int) -> Shifted:
    """The factor of intensities with `fraction` fraction bits, as word * 2**-shift.

    rate, poisson: to spikes a step in u0.15. latency: to steps, of which 1.0 takes steps - 1.
    """
    match encoding.kind:
        case "latency":
            return Shifted(encoding.steps - 1, fraction)
        case "level":
            return Shifted(0, 0)
        case _:
            per_step = encoding.max_rate * encoding.dt / 1000
            return scaled(per_step * 2.0 ** (15 - fraction))
