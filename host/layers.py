"""Layers as a user states them, and the network that a row of them makes."""

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Dense:
    """A layer of `units` neurons, each connected to all outputs of the layer before it.

    Neurons with the activation "lif" integrate, leak and fire: `neuron` says how, Neuron() unless
    told. They learn by error x pseudo-derivative x activity of the layer before.

    `init` names where the first weights come from, one of `host.training.initialisation.INITS`;
    None leaves it to the network, which may also have weights from elsewhere. A layer that is
    `frozen` keeps its first weights.

    Raises ValueError on an activation that is not in ACTIVATIONS, on no units, on a neuron where
    none spikes, on an unknown init, or where frozen is no bool.
    """

    units: int
    activation: str = "linear"
    neuron: Neuron | None = None
    init: str | None = None
    frozen: bool = False

    def __post_init__(self) -> None:
        check_count("units", self.units)
        if self.init is not None:
            check_init(self.init)
        if not isinstance(self.frozen, bool):
            raise ValueError(f"frozen must be True or False, not {self.frozen!r}")
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
    )
