"""The weights with which a spiking network begins."""

import numpy as np
from numpy.typing import NDArray

from host.plan import WEIGHT_SEED
from host.spiking.network import Neurons, Scaling, SpikingNetwork
from host.spiking.rules import Hybrid, PairSTDP, Prototype

Words = NDArray[np.int16]
Reals = NDArray[np.float64]


def first_weights(network: SpikingNetwork, inputs: Reals, seed: int) -> dict[str, Words]:
    """Words by the names of the circuit's weights, for training inputs (N, values of a sample).

    Neurons begin with training samples or at random, from default_rng(1000 + seed), and scaled;
    outputs with 0. Raises ValueError where there are fewer samples than neurons.
    """
    words = {}
    rule = network.rule.prototype if isinstance(network.rule, Hybrid) else network.rule
    if network.neurons is not None and isinstance(rule, PairSTDP | Prototype):
        rng = np.random.default_rng(WEIGHT_SEED + seed)
        neurons = network.neurons
        if neurons.first_weights == "samples":
            drawn = rule.w_max * _samples(neurons, network.inputs, inputs, rng)
        else:
            drawn = rng.uniform(rule.w_min, rule.w_max, (neurons.count, network.inputs))
        scaled = np.clip(_scaled(drawn, network.scaling), rule.w_min, rule.w_max)
        fmt = network.formats.weight
        low, high = (np.ldexp(w, fmt.fraction) for w in (rule.w_min, rule.w_max))
        real = np.clip(np.floor(np.ldexp(scaled, fmt.fraction) + 0.5), low, high)
        words["neurons"] = np.clip(real, -(1 << 15), (1 << 15) - 1).astype(np.int16)
    if not isinstance(network.rule, PairSTDP | Prototype):
        cells = network.granules.cells if network.granules else neurons.count
        words["outputs"] = np.zeros((network.classes, cells), np.int16)
    return words


def _samples(neurons: Neurons, width: int, inputs: Reals, rng: np.random.Generator) -> Reals:
    """As many samples as neurons, drawn without repetition; the mean of their time steps."""
    if neurons.count > len(inputs):
        raise ValueError(
            f"count of the neurons must be at most the {len(inputs)} training samples that their "
            f"first weights are, not {neurons.count}; or take first_weights = 'random'"
        )
    chosen = inputs[rng.permutation(len(inputs))[: neurons.count]]
    return chosen.reshape(neurons.count, -1, width).mean(axis=1)


def _scaled(weights: Reals, scaling: Scaling | None) -> Reals:
    """Rows of the norm that SCALE will give them; a row of 0 stays."""
    if scaling is None:
        return weights
    order = 1 if scaling.norm == "l1" else 2
    norms = np.linalg.norm(weights, ord=order, axis=1, keepdims=True)
    return weights * (scaling.target / np.where(norms > 0, norms, scaling.target))
