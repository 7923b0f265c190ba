"""Neurons and the synapses that lead to them, on the device: where they lie, and their commands."""

from host.spiking import constants
from host.spiking.allocator import Allocator
from host.spiking.memory import Block, SpikeList
from host.spiking.network import Formats, Scaling
from hw.isa import Instruction, Opcode
from hw.numbers import Format
from hw.spiking import POPULATION_ROWS, FireFlag, PlasticityFlag, ScaleFlag, SynapseParameter
from hw.spiking import Variable as Var

SPACING = POPULATION_ROWS.bit_length() - 1
"""log2 of the rows from a tile of a population's variable to the next."""


class Layer:
    """`neurons` neurons, each with synapses from all of `inputs` others.

    Parameters
    ----------
    name: of the neurons, in the plural
    formats: binary points
    statistic: the saturation counter of the currents
    place: what gives out the device's memories

    Attributes
    ----------
    weights: neurons x inputs
    population: of the neurons
    """

    def __init__(
        self,
        name: str,
        neurons: int,
        inputs: int,
        *,
        formats: Formats,
        statistic: int,
        place: Allocator,
    ):
        self.name, self.inputs, self.statistic = name, inputs, statistic
        self.weights = place.matrix(f"weight of the {name}", neurons, inputs, formats.weight)
        self.population = place.population(name, neurons)
        self._shift = formats.weight.fraction - formats.potential.fraction

    @property
    def neurons(self) -> int:
        """How many."""
        return self.population.size

    def row(self, variable: Var) -> int:
        """The first row of a variable, whose rows are 2**SPACING apart."""
        return self.population.row + variable

    def reset(self, *variables: Var) -> Instruction:
        """Set variables of all neurons to 0."""
        return Instruction(
            opcode=Opcode.RESET,
            flags=sum(1 << variable for variable in variables),
            rows=self.neurons,
            dest_base=self.population.row,
        )

    def integrate(self, spikes: SpikeList) -> Instruction:
        """Add the weights of the inputs that spike to the currents."""
        return Instruction(
            opcode=Opcode.INTEGRATE,
            shift=self._shift,
            statistic=self.statistic,
            rows=self.neurons,
            left_base=self.weights.layout.base,
            left_inner=self.weights.layout.stride,
            dest_base=self.population.row,
            gate=spikes.start,
        )

    def fire(self, block: Block, spikes: SpikeList, flags: FireFlag) -> Instruction:
        """A time step, with the parameters in `block`; spikes go into the list."""
        return Instruction(
            opcode=Opcode.FIRE,
            flags=flags,
            rows=self.neurons,
            right_depth=block.row,
            dest_base=self.population.row,
            gate=spikes.start,
        )

    def learn(
        self,
        block: Block,
        spikes: SpikeList,
        flags: PlasticityFlag,
        *,
        traces: int,
        spacing: int = SPACING,
    ) -> Instruction:
        """Change the rows or columns in the list by the traces that begin in the row `traces`."""
        return Instruction(
            opcode=Opcode.PLASTICITY,
            flags=flags,
            leak_shift=spacing,
            rows=self.neurons,
            columns=self.inputs,
            left_base=self.weights.layout.base,
            left_inner=self.weights.layout.stride,
            right_base=traces,
            right_depth=block.row,
            dest_base=self.population.row,
            gate=spikes.start,
        )

    def scale(self, scaling: Scaling, block: Block, spikes: SpikeList) -> Instruction:
        """Bring the rows of all neurons, or of those in the list, to the norm."""
        flags = ScaleFlag.EUCLIDEAN if scaling.norm == "l2" else ScaleFlag(0)
        if scaling.rows == "winner":
            flags |= ScaleFlag.LISTED
        fraction = self.weights.fmt.fraction
        return Instruction(
            opcode=Opcode.SCALE,
            flags=flags,
            shift=constants.norm(scaling.target, fraction).shift,
            rows=self.neurons,
            columns=self.inputs,
            left_base=self.weights.layout.base,
            left_inner=self.weights.layout.stride,
            right_depth=block.row,
            gate=spikes.start,
        )


def synapse_limits(
    w_min: float, w_max: float, fmt: Format, scaling: Scaling | None = None
) -> dict[SynapseParameter, int]:
    """The parameters that keep weights in their range, and the norm that SCALE brings them to."""
    values = {
        SynapseParameter.LOWER: constants.weight_limit("w_min", w_min, fmt),
        SynapseParameter.UPPER: constants.weight_limit("w_max", w_max, fmt),
    }
    if scaling is not None:
        values[SynapseParameter.NORM] = constants.norm(scaling.target, fmt.fraction).word
    return values
