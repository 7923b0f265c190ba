"""The networks that there are on the device: what each rule's programs do with a sample.

    Prototype      train: present, learn           respond: present, answer
    PairSTDP       train                           respond
    ClimbingFibre  train: expand, answer, learn    evaluate: expand, answer
    Hybrid         train: present, learn           evaluate: present, answer, answer of the readout
                   supervise: as evaluate, and the readout learns
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from host.memory_map import Tensor
from host.spiking.allocator import Allocator
from host.spiking.competition import Competition
from host.spiking.granules import GranuleLayer
from host.spiking.layer import SPACING, Layer
from host.spiking.memory import SpikingMemory, Write
from host.spiking.network import SpikingNetwork
from host.spiking.pair_stdp import PairNeurons
from host.spiking.program import Phase
from host.spiking.readout import Readout
from host.spiking.responses import ListedWinners, Responses, SpikeCounts
from host.spiking.rules import ClimbingFibre, Hybrid, PairSTDP, Prototype
from hw.config import DeviceConfig
from hw.isa import Instruction
from hw.spiking import Variable

CURRENTS = ("neurons", "outputs")
"""Of what INTEGRATE counts saturations, by statistic."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Circuit:
    """A spiking network on a device.

    Attributes
    ----------
    memory: where its parts lie
    bodies: what each phase does with a sample
    constants: the parameters, by what the schedule multiplies the learning rate with
    weights: what is learned, by name
    rows: of INPUT for a sample
    responses: how to read which neurons answer, for Phase.RESPOND
    granules: what has a table to draw, or None
    """

    memory: SpikingMemory
    bodies: Mapping[Phase, Sequence[Instruction]]
    constants: Callable[[float], list[Write]]
    weights: Mapping[str, Tensor]
    rows: int = 1
    responses: Responses | None = None
    granules: GranuleLayer | None = None


def build_circuit(network: SpikingNetwork, config: DeviceConfig) -> Circuit:
    """The network on a device; CompileError where it does not fit or a constant has no word."""
    place = Allocator(config)
    match network.rule:
        case Prototype():
            return _prototype(network, network.rule, place)
        case PairSTDP():
            return _pair_stdp(network, network.rule, place)
        case ClimbingFibre():
            return _climbing_fibre(network, network.rule, place)
        case Hybrid():
            return _hybrid(network, network.rule, place)


def _prototype(network: SpikingNetwork, rule: Prototype, place: Allocator) -> Circuit:
    neurons = Competition(network, rule, place)
    each = neurons.winners.size
    answers = place.other_spikes("answers", least=each)
    memory = place.memory()
    present = neurons.present()
    return Circuit(
        memory=memory,
        bodies={
            Phase.TRAIN: [*present, *neurons.learn()],
            Phase.RESPOND: [*present, *neurons.answer(answers, append=True)],
        },
        constants=neurons.constants,
        weights=_weights(neurons.layer),
        rows=neurons.encoder.rows,
        responses=ListedWinners(answers, each=each, neurons=neurons.layer.neurons),
    )


def _pair_stdp(network: SpikingNetwork, rule: PairSTDP, place: Allocator) -> Circuit:
    neurons = PairNeurons(network, rule, place)
    return Circuit(
        memory=place.memory(),
        bodies={Phase.TRAIN: neurons.train(), Phase.RESPOND: neurons.respond()},
        constants=neurons.constants,
        weights=_weights(neurons.layer),
        rows=neurons.encoder.rows,
        responses=SpikeCounts(neurons.layer.population),
    )


def _climbing_fibre(network: SpikingNetwork, rule: ClimbingFibre, place: Allocator) -> Circuit:
    granules = GranuleLayer(network, place)
    cells = granules.activity.size
    readout = Readout(rule, network.classes, cells, network.formats, place)
    memory = place.memory()
    evaluate = [granules.expand(), *readout.answer(granules.active)]
    learn = readout.learn(activity=granules.activity.row, spacing=0)
    return Circuit(
        memory=memory,
        bodies={Phase.TRAIN: [*evaluate, *learn], Phase.EVALUATE: evaluate},
        constants=readout.constants,
        weights=_weights(readout.layer),
        granules=granules,
    )


def _hybrid(network: SpikingNetwork, rule: Hybrid, place: Allocator) -> Circuit:
    neurons = Competition(network, rule.unsupervised_rule, place)
    count = neurons.layer.neurons
    readout = Readout(rule.supervised_rule, network.classes, count, network.formats, place)
    memory = place.memory()
    present = neurons.present()
    evaluate = [*present, *neurons.answer(neurons.winners), *readout.answer(neurons.winners)]
    learn = readout.learn(activity=neurons.layer.row(Variable.TRACE), spacing=SPACING)
    return Circuit(
        memory=memory,
        bodies={
            Phase.TRAIN: [*present, *neurons.learn()],
            Phase.SUPERVISE: [*evaluate, *learn],
            Phase.EVALUATE: evaluate,
        },
        constants=lambda factor: [*neurons.constants(factor), *readout.constants(factor)],
        weights=_weights(neurons.layer, readout.layer),
        rows=neurons.encoder.rows,
    )


def _weights(*layers: Layer) -> dict[str, Tensor]:
    return {layer.name: layer.weights for layer in layers}
