"""Outputs that learn by climbing fibres, on the device.

    list of active cells --INTEGRATE--> currents --CLIMB, with the class--> list of errors
    rows in that list --PLASTICITY: coefficient of the error times activity of the cells-->
"""

from host.spiking import constants
from host.spiking.allocator import Allocator
from host.spiking.layer import Layer, synapse_limits
from host.spiking.memory import SpikeList, Write
from host.spiking.network import Formats
from host.spiking.rules import ClimbingFibre
from hw.isa import Instruction, Opcode
from hw.spiking import ACTIVE, ClimbingParameter, PlasticityFlag, SynapseParameter, Variable

ACTIVITY_BITS = ACTIVE.bit_length() - 1
"""Binary point of an active cell's 1.0."""


class Readout:
    """One output a class.

    Parameters
    ----------
    rule: how it learns
    classes, cells: outputs and inputs
    formats: binary points
    place: what gives out the device's memories

    Attributes
    ----------
    layer: the outputs
    """

    def __init__(
        self, rule: ClimbingFibre, classes: int, cells: int, formats: Formats, place: Allocator
    ):
        self._rule, self._formats = rule, formats
        self.layer = Layer("outputs", classes, cells, formats=formats, statistic=1, place=place)
        self._errors = place.spikes("errors", classes)
        self._fibres = place.block("climbing fibres", ClimbingParameter)
        self._synapses = place.block("the outputs' synapses", SynapseParameter)

    def constants(self, factor: float) -> list[Write]:
        """The parameters, of an epoch in which all changes are multiplied by `factor`."""
        rule, fmt = self._rule, self._formats.weight

        def change(name: str, value: float) -> int:
            return constants.coefficient(
                name, factor * value, weight=fmt.fraction, trace=ACTIVITY_BITS
            )

        fibres = {
            ClimbingParameter.MARGIN: constants.fixed(
                "margin", rule.margin, self._formats.potential.fraction
            ),
            ClimbingParameter.POTENTIATION: change("potentiation", rule.potentiation),
            ClimbingParameter.DEPRESSION: -change("depression", rule.depression),
            ClimbingParameter.TONIC: change("tonic", rule.tonic),
        }
        return [
            self._fibres.write(fibres),
            self._synapses.write(synapse_limits(rule.w_min, rule.w_max, fmt)),
        ]

    def answer(self, active: SpikeList) -> list[Instruction]:
        """The outputs' sums over the active cells, and which of them are wrong."""
        return [
            self.layer.reset(Variable.CURRENT),
            self.layer.integrate(active),
            Instruction(
                opcode=Opcode.CLIMB,
                rows=self.layer.neurons,
                left_base=0,
                right_depth=self._fibres.row,
                dest_base=self.layer.population.row,
                gate=self._errors.start,
            ),
        ]

    def learn(self, *, activity: int, spacing: int) -> list[Instruction]:
        """Change what was wrong; `activity` is the first row of a vector of ACTIVE or 0."""
        flags = PlasticityFlag.BY_ROW | PlasticityFlag.OWN_COEFFICIENT
        return [
            self.layer.learn(
                self._synapses, self._errors, flags, traces=activity, spacing=spacing
            )
        ]
