"""Layers as a user states them, and the network that a row of them makes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from host.network import Formats, Network, Neuron
from host.training.initialisation import check_init
from hw.isa import Activation, Loss

ACTIVATIONS = {
    "linear": Activation.LINEAR,
    "relu": Activation.RELU,
    "leaky_relu": Activation.LEAKY_RELU,
    "sigmoid": Activation.SIGMOID,
    "tanh": Activation.TANH,
    "lif": Activation.SURROGATE,
}
LOSSES = {"cross_entropy": Loss.CROSS_ENTROPY, "mse": Loss.MEAN_SQUARED_ERROR}


def check_count(name: str, value: object) -> None:
    """Raise ValueError unless `value` is a whole number of at least 1."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < 1:  # type: ignore[operator]
        raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")


def check_dropout(p: object) -> None:
    """Raise ValueError unless `p` is a number of at least 0 and below 1."""
    number = isinstance(p, int | float | np.number) and not isinstance(p, bool)
    if not number or not 0 <= p < 1:  # type: ignore[operator]
        raise ValueError(f"dropout must be a probability of at least 0 and below 1, not {p!r}")


@dataclass(frozen=True)
class Dense:
    """A layer of `units` neurons, each connected to all outputs of the layer before it.

    Neurons with the activation "lif" integrate, leak and fire: `neuron` says how, Neuron() unless
    told. They learn by error x pseudo-derivative x activity of the layer before.

    `init` names where the first weights come from, one of `host.training.initialisation.INITS`;
    None leaves it to the network, which may also have weights from elsewhere. A layer that is
    `frozen` keeps its first weights. `dropout` is the probability by which training drops each of
    its outputs; a `Dropout` behind the layer says the same.

    Raises ValueError on an activation that is not in ACTIVATIONS, on no units, on a neuron where
    none spikes, on an unknown init, where frozen is no bool, or dropout no probability below 1.
    """

    units: int
    activation: str = "linear"
    neuron: Neuron | None = None
    init: str | None = None
    frozen: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_count("units", self.units)
        if self.init is not None:
            check_init(self.init)
        if not isinstance(self.frozen, bool):
            raise ValueError(f"frozen must be True or False, not {self.frozen!r}")
        check_dropout(self.dropout)
        if self.activation not in ACTIVATIONS:
            names = ", ".join(ACTIVATIONS)
            raise ValueError(f"activation must be one of {names}, not {self.activation!r}")
        if ACTIVATIONS[self.activation] == Activation.SURROGATE:
            object.__setattr__(self, "neuron", self.neuron or Neuron())
        elif self.neuron is not None:
            raise ValueError(
                f"neuron must be left out under the activation {self.activation!r}, as only those "
                "of 'lif' spike"
            )


@dataclass(frozen=True)
class Dropout:
    """Drops each output of the layer before it with the probability `p` while the network trains.

    What is dropped is 0 in that sample. Otherwise all outputs are multiplied by 1 - p (Srivastava
    et al. 2014, JMLR 15). The device counts p in steps of 1/256, to which it is rounded.

    Raises ValueError where p is no number of at least 0 and below 1.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        check_dropout(self.p)


def with_dropout(layers: Sequence[Dense | Dropout]) -> list[Dense]:
    """The dense layers, each with the Dropout behind it; ValueError where there is none before."""
    dense: list[Dense] = []
    for place, layer in enumerate(layers):
        if not isinstance(layer, Dropout):
            dense.append(layer)
            continue
        if place == 0:
            raise ValueError(
                "layers must not begin with Dropout, as it drops outputs of the layer before it: "
                "put it behind a Dense layer"
            )
        if isinstance(layers[place - 1], Dropout) or dense[-1].dropout:
            raise ValueError("a layer must have one Dropout, not two: leave one of them out")
        if place == len(layers) - 1:
            raise ValueError(
                "layers must not end with Dropout, as the last layer's outputs are the answer: "
                "leave it out"
            )
        dense[-1] = replace(dense[-1], dropout=layer.p)
    return dense


def build_network(
    inputs: int,
    layers: Sequence[Dense],
    *,
    loss: str,
    classes: bool,
    formats: Formats | None = None,
    leak_shift: int = 3,
) -> Network:
    """The network of `layers` on `inputs` features; ValueError when it is none.

    Parameters
    ----------
    loss: one of LOSSES
    classes: whether targets are class indices
    """
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not {loss!r}")
    if not layers:
        raise ValueError("there must be at least one layer, whose units are the outputs")
    return Network(
        sizes=(inputs, *(layer.units for layer in layers)),
        activations=tuple(ACTIVATIONS[layer.activation] for layer in layers),
        neurons=tuple(layer.neuron for layer in layers),
        loss=LOSSES[loss],
        class_target=classes,
        formats=formats or Formats(),
        leak_shift=leak_shift,
        frozen=tuple(layer.frozen for layer in layers),
        dropout=tuple(layer.dropout for layer in layers),
    )
