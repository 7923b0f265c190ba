"""Neurons that compete for a sample, and prototypes that the winners learn, on the device.

    every step:  list of input spikes --INTEGRATE--> currents --FIRE--> potentials, no spike
    at the end:  potentials --FIRE, the furthest above its own threshold--> list of winners
                 row of the winner --PLASTICITY: towards the inputs' traces--> --SCALE-->

Under latency encoding an input's current flows on from its spike to the end of the sample, so that
the potential is the sum of weight times trace.
"""

from host.spiking import constants
from host.spiking.allocator import Allocator
from host.spiking.encoder import Encoder, Trace
from host.spiking.layer import Layer, synapse_limits
from host.spiking.memory import SpikeList, Write
from host.spiking.network import SpikingNetwork
from host.spiking.program import repeat
from host.spiking.rules import Prototype
from hw.isa import Instruction
from hw.numbers import WORD_MAX, WORD_MIN
from hw.spiking import (
    ACTIVE,
    FireFlag,
    NeuronParameter,
    PlasticityFlag,
    SynapseParameter,
    Variable,
)

RATE_BITS = 16
"""Binary point of a learning rate that multiplies a difference of weights."""


class Competition:
    """The neurons of a network with the rule Prototype.

    Parameters
    ----------
    network: with its neurons
    rule: the network's own, or that of a hybrid's neurons
    place: what gives out the device's memories

    Attributes
    ----------
    encoder: the inputs
    layer: the neurons
    winners: the list of those that have won the sample
    """

    def __init__(self, network: SpikingNetwork, rule: Prototype, place: Allocator):
        assert network.neurons is not None and network.encoding is not None
        self._neurons, self._encoding = network.neurons, network.encoding
        self._scaling, self._formats, self._rule = network.scaling, network.formats, rule
        count = network.neurons.count
        self.encoder = Encoder(network, _trace(network, rule), place)
        self.layer = Layer(
            "neurons", count, network.inputs, formats=network.formats, statistic=0, place=place
        )
        self.winners = place.spikes("winners", network.neurons.winners)
        self._saturated = place.spikes("saturated neurons", count)
        self._integration = place.block("integrating", NeuronParameter)
        self._competition = place.block("competing", NeuronParameter)
        self._answer = place.block("answering", NeuronParameter)
        self._synapses = place.block("the neurons' synapses", SynapseParameter)

    def constants(self, factor: float) -> list[Write]:
        """The parameters, of an epoch in which the learning rate is multiplied by `factor`."""
        rule, fmt = self._rule, self._formats.weight
        rate = constants.fixed("learning_rate", factor * rule.learning_rate, RATE_BITS)
        limits = synapse_limits(rule.w_min, rule.w_max, fmt, self._scaling)
        return [
            *self.encoder.constants(),
            *self._neuron_constants(),
            self._synapses.write({SynapseParameter.COEFFICIENT: rate, **limits}),
        ]

    def _neuron_constants(self) -> list[Write]:
        neurons, fraction = self._neurons, self._formats.potential.fraction
        # Nothing fires before the sample ends; a potential that saturates is put back.
        integration = {
            NeuronParameter.LEAK: constants.decay(
                "tau_membrane", neurons.tau_membrane, self._encoding.dt
            ),
            NeuronParameter.THRESHOLD: WORD_MAX,
            NeuronParameter.RESET: WORD_MAX,
        }
        # A winner's potential falls so low that it is not among the next ones.
        answer = {
            NeuronParameter.THRESHOLD: WORD_MIN,
            NeuronParameter.RESET: WORD_MIN,
            NeuronParameter.TRACE_INCREMENT: ACTIVE,
        }
        competition = {
            **answer,
            NeuronParameter.THRESHOLD_INCREMENT: constants.fixed(
                "threshold_increment", neurons.threshold_increment, fraction
            ),
            NeuronParameter.THRESHOLD_DECAY: constants.decay(
                "tau_threshold", neurons.tau_threshold, self._encoding.duration
            ),
        }
        return [
            self._integration.write(integration),
            self._competition.write(competition),
            self._answer.write(answer),
        ]

    def present(self) -> list[Instruction]:
        """The time steps of a sample, which leave its sums in the potentials."""
        holds = self._encoding.kind == "latency"
        encode, integrate = self.encoder.step(), self.layer.integrate(self.encoder.spikes)
        flags = FireFlag.HOLD if holds else FireFlag(0)
        fire = self.layer.fire(self._integration, self._saturated, flags)
        step = [encode, fire, integrate] if holds else [encode, integrate, fire]
        return [
            self.encoder.begin(),
            self.layer.reset(Variable.CURRENT, Variable.POTENTIAL, Variable.REFRACTORY),
            *repeat(self._encoding.steps, step),
            self.layer.reset(Variable.CURRENT, Variable.TRACE, Variable.COUNT),
        ]

    def learn(self) -> list[Instruction]:
        """One neuron wins and moves towards the sample; weights are scaled."""
        adapts = self._neurons.tau_threshold is not None
        flags = FireFlag.WINNER | (FireFlag.ADAPT if adapts else FireFlag(0))
        rule = PlasticityFlag.BY_ROW | PlasticityFlag.DIFFERENCE
        traces = self.encoder.trace_row
        learned = [
            self.layer.fire(self._competition, self.winners, flags),
            self.layer.learn(self._synapses, self.winners, rule, traces=traces),
        ]
        if self._scaling:
            learned.append(self.layer.scale(self._scaling, self._synapses, self.winners))
        return learned

    def answer(self, winners: SpikeList, *, append: bool = False) -> list[Instruction]:
        """The neurons furthest above their own thresholds fire, one after the other.

        `append`: their numbers go behind those in the list
        """
        more = FireFlag.WINNER | FireFlag.APPEND
        first = self.layer.fire(self._answer, winners, more if append else FireFlag.WINNER)
        others = self._neurons.winners - 1
        return [first] + (repeat(others, [self.layer.fire(self._answer, winners, more)])
                          if others else [])


def _trace(network: SpikingNetwork, rule: Prototype) -> Trace:
    """A trace in the weights' binary point, whose largest value is w_max.

    latency: a spike in the first step makes it w_max at the end. level: a spike in every step does,
    in the long run; rate and poisson: spikes at max_rate.
    """
    encoding = network.encoding
    assert encoding is not None
    fraction = network.formats.weight.fraction
    if encoding.kind == "latency":
        rise = rule.w_max / (encoding.steps - 1)
        return Trace(increment=constants.fixed("w_max / (steps - 1)", rise, fraction))
    decay = constants.decay("tau_pre", rule.tau_pre, encoding.dt)
    spikes = 1.0 if encoding.kind == "level" else encoding.max_rate * encoding.dt / 1000
    rise = rule.w_max * -decay / (1 << constants.DECAY_BITS) / spikes
    return Trace(increment=constants.fixed("rise of a trace", rise, fraction), decay=decay)
