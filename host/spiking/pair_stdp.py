"""Neurons that learn by pairs of spikes, on the device.

    every step:  ENCODE --> list of input spikes, presynaptic traces
                 list of input spikes --INTEGRATE--> currents
                 columns in that list --PLASTICITY: minus the postsynaptic traces-->
                 currents --FIRE--> list of spikes, postsynaptic traces
                 rows in that list --PLASTICITY: plus the presynaptic traces-->
    at the end:  thresholds decay; --SCALE-->

A presynaptic spike `d` ms after a postsynaptic one changes a weight by -learning_rate a_minus
exp(-d / tau_post), one `d` ms before it, or in the same step, by learning_rate a_plus
exp(-d / tau_pre).
"""

import math

from host.spiking import constants
from host.spiking.allocator import Allocator
from host.spiking.encoder import Encoder, Trace
from host.spiking.layer import Layer, synapse_limits
from host.spiking.memory import Write
from host.spiking.network import SpikingNetwork
from host.spiking.program import repeat
from host.spiking.rules import PairSTDP
from hw.isa import Instruction
from hw.numbers import WORD_MAX
from hw.spiking import FireFlag, NeuronParameter, PlasticityFlag, SynapseParameter, Variable

BEGUN_ANEW = (
    Variable.CURRENT,
    Variable.POTENTIAL,
    Variable.REFRACTORY,
    Variable.TRACE,
    Variable.COUNT,
)
"""What a sample begins without."""


class PairNeurons:
    """The neurons of a network with the rule PairSTDP.

    Parameters
    ----------
    network: with its neurons
    rule: the network's
    place: what gives out the device's memories

    Attributes
    ----------
    encoder: the inputs
    layer: the neurons
    """

    def __init__(self, network: SpikingNetwork, rule: PairSTDP, place: Allocator):
        assert network.neurons is not None and network.encoding is not None
        self._neurons, self._encoding = network.neurons, network.encoding
        self._scaling, self._formats, self._rule = network.scaling, network.formats, rule
        fraction = network.formats.trace.fraction
        self._one = constants.fixed("a trace of one spike", 1.0, fraction)
        trace = Trace(
            increment=self._one,
            decay=constants.decay("tau_pre", rule.tau_pre, network.encoding.dt),
            sets=rule.trace_pre == "set",
        )
        self.encoder = Encoder(network, trace, place)
        count = network.neurons.count
        self.layer = Layer(
            "neurons", count, network.inputs, formats=network.formats, statistic=0, place=place
        )
        self._spikes = place.spikes("spikes", count)
        self._training = place.block("firing in training", NeuronParameter)
        self._testing = place.block("firing", NeuronParameter)
        self._rest = place.block("rest after a sample", NeuronParameter)
        self._presynaptic = place.block("depression", SynapseParameter)
        self._postsynaptic = place.block("potentiation", SynapseParameter)

    def constants(self, factor: float) -> list[Write]:
        """The parameters, of an epoch in which the learning rate is multiplied by `factor`."""
        rule = self._rule
        rate = factor * rule.learning_rate
        # A column is changed before the traces of its step have decayed.
        decayed = rule.a_minus * math.exp(-self._encoding.dt / rule.tau_post)
        up = self._coefficient("a_plus", rate * rule.a_plus)
        down = self._coefficient("a_minus", rate * decayed)
        limits = synapse_limits(rule.w_min, rule.w_max, self._formats.weight, self._scaling)
        return [
            *self.encoder.constants(),
            *self._neuron_constants(up, factor),
            self._presynaptic.write({SynapseParameter.COEFFICIENT: -down, **limits}),
            self._postsynaptic.write({SynapseParameter.COEFFICIENT: up, **limits}),
        ]

    def _coefficient(self, name: str, change: float) -> int:
        formats = self._formats
        return constants.coefficient(
            f"learning_rate {name}",
            change,
            weight=formats.weight.fraction,
            trace=formats.trace.fraction,
            soft=self._rule.bounds == "soft",
        )

    def _neuron_constants(self, up: int, factor: float) -> list[Write]:
        neurons, rule, dt = self._neurons, self._rule, self._encoding.dt
        fraction = self._formats.potential.fraction
        assert neurons.threshold is not None
        testing = {
            NeuronParameter.LEAK: constants.decay("tau_membrane", neurons.tau_membrane, dt),
            NeuronParameter.THRESHOLD: constants.fixed("threshold", neurons.threshold, fraction),
            NeuronParameter.RESET: constants.fixed("reset", neurons.reset, fraction),
            NeuronParameter.REFRACTORY: constants.steps("refractory", neurons.refractory, dt),
        }
        training = {
            **testing,
            NeuronParameter.THRESHOLD_INCREMENT: constants.fixed(
                "threshold_increment", neurons.threshold_increment, fraction
            ),
            NeuronParameter.TRACE_DECAY: constants.decay("tau_post", rule.tau_post, dt),
            NeuronParameter.TRACE_INCREMENT: self._one,
            NeuronParameter.TRACE_INCREMENT_ACTIVE: self._one,
            NeuronParameter.COEFFICIENT: up,
            NeuronParameter.COEFFICIENT_ACTIVE: up,
            **self._metaplasticity(factor),
        }
        rest = {
            NeuronParameter.THRESHOLD: WORD_MAX,
            NeuronParameter.THRESHOLD_DECAY: constants.decay(
                "tau_threshold", neurons.tau_threshold, self._encoding.duration
            ),
        }
        return [
            self._training.write(training),
            self._testing.write(testing),
            self._rest.write(rest),
        ]

    def _metaplasticity(self, factor: float) -> dict[NeuronParameter, int]:
        """An active neuron's trace, and so its depression, grows; its potentiation falls.

        activity: the mean of spikes a step in u0.15, which a spike raises by dt / tau_meta
        """
        meta = self._rule.metaplasticity
        if meta is None:
            return {}
        bits = constants.DECAY_BITS
        fall = constants.decay("tau_meta", meta.tau_meta, self._encoding.dt)
        rate = factor * self._rule.learning_rate * self._rule.a_plus
        return {
            NeuronParameter.ACTIVITY_DECAY: fall,
            NeuronParameter.ACTIVITY_INCREMENT: -fall,
            NeuronParameter.ACTIVITY_THRESHOLD: constants.fixed(
                "activity_threshold", meta.activity_threshold, bits
            ),
            NeuronParameter.TRACE_INCREMENT_ACTIVE: constants.fixed(
                "scaling_factor", meta.scaling_factor, self._formats.trace.fraction
            ),
            NeuronParameter.COEFFICIENT_ACTIVE: self._coefficient(
                "a_plus / scaling_factor", rate / meta.scaling_factor
            ),
        }

    def begin(self) -> list[Instruction]:
        """What comes before the first step of a sample."""
        return [self.encoder.begin(), self.layer.reset(*BEGUN_ANEW)]

    def train(self) -> list[Instruction]:
        """A sample from which the neurons learn."""
        inputs, layer = self.encoder.spikes, self.layer
        soft = self._rule.bounds == "soft"
        down = PlasticityFlag.TO_LOWER if soft else PlasticityFlag(0)
        up = PlasticityFlag.BY_ROW | (PlasticityFlag.TO_UPPER if soft else PlasticityFlag(0))
        if self._rule.metaplasticity is not None:
            up |= PlasticityFlag.OWN_COEFFICIENT
        sets = FireFlag.SET_TRACE if self._rule.trace_post == "set" else FireFlag(0)
        step = [self.encoder.step(), layer.integrate(inputs)]
        if self._rule.a_minus:
            post = layer.row(Variable.TRACE)
            step.append(layer.learn(self._presynaptic, inputs, down, traces=post))
        step.append(self._fire(sets))
        if self._rule.a_plus:
            pre = self.encoder.trace_row
            step.append(layer.learn(self._postsynaptic, self._spikes, up, traces=pre))
        learned = [*self.begin(), *repeat(self._encoding.steps, step)]
        if self._neurons.tau_threshold is not None:
            learned.append(layer.fire(self._rest, self._spikes, FireFlag.ADAPT))
        if self._scaling:
            learned.append(layer.scale(self._scaling, self._postsynaptic, self._spikes))
        return learned

    def respond(self) -> list[Instruction]:
        """A sample to which the neurons respond as they are."""
        step = [
            self.encoder.step(),
            self.layer.integrate(self.encoder.spikes),
            self._fire(FireFlag(0), testing=True),
        ]
        return [*self.begin(), *repeat(self._encoding.steps, step)]

    def _fire(self, flags: FireFlag, *, testing: bool = False) -> Instruction:
        if self._neurons.winner_take_all:
            flags |= FireFlag.WINNER
        if self._neurons.inhibition:
            flags |= FireFlag.INHIBIT
        block = self._testing if testing else self._training
        return self.layer.fire(block, self._spikes, flags)
