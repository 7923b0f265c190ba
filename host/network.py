"""What is to be computed: a dense network and the rule by which it learns, both checked and frozen.

They say nothing of a device; `host.compiler` fits them to one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hw import numbers
from hw.isa import Activation, Loss
from hw.numbers import Format

CURVED = (Activation.SIGMOID, Activation.TANH)
"""Activations that the device takes from its table."""

MAX_STEPS = 255
"""Most time steps that the device counts spikes in."""


@dataclass(frozen=True, kw_only=True)
class Neuron:
    """A leaky integrate-and-fire neuron: what it makes of a constant current in T time steps.

    In each step, from v = 0, with the current z:

        u = v - 2**-leak_shift v + z
        it fires where u >= threshold, and then v = u - threshold; else v = u

    Its activity is the number of its spikes, its slope that of the steps with u > 0 (the sum of a
    pseudo-derivative); both are multiples of 2**-k, k = ceil(log2 T), and so at most 1. A slope
    stands for the derivative of the activity by z / threshold.

    Parameters
    ----------
    steps: T, 1 to 255
    leak_shift: 0 to 15; after 0 nothing is left of v
    threshold: above 0, of the format of currents

    Raises ValueError when a value is outside its range.
    """

    steps: int = 20
    leak_shift: int = 3
    threshold: float = 1.0

    def __post_init__(self) -> None:
        for name, low, high in (("steps", 1, MAX_STEPS), ("leak_shift", 0, 15)):
            value = getattr(self, name)
            if isinstance(value, bool) or value != int(value) or not low <= value <= high:
                raise ValueError(
                    f"{name} must be a whole number from {low} to {high}, not {value!r}"
                )
        if not (math.isfinite(self.threshold) and self.threshold > 0):
            raise ValueError(f"threshold must be above 0 and finite, not {self.threshold}")

    @property
    def exponent(self) -> int:
        """k, of which a spike is worth 2**-k."""
        return (self.steps - 1).bit_length()


@dataclass(frozen=True, kw_only=True)
class Formats:
    """The binary points of a network's tensors.

    Parameters
    ----------
    input: inputs
    activation: outputs of the hidden layers
    current: of neurons that spike; their potential's too
    output: outputs of the last layer, and targets that are vectors; None for LOGIT under
        cross-entropy and `activation` otherwise
    weight, delta, momentum: every layer's
    """

    input: Format = numbers.ACTIVATION
    activation: Format = numbers.ACTIVATION
    current: Format = numbers.CURRENT
    output: Format | None = None
    weight: Format = numbers.WEIGHT
    delta: Format = numbers.DELTA
    momentum: Format = numbers.MOMENTUM


@dataclass(frozen=True, kw_only=True)
class Network:
    """A dense network: layer l is y_l = f_l(W_l [y_{l-1}; 1]), W_l of shape n_l x (n_{l-1} + 1).

    Parameters
    ----------
    sizes: n_0 (inputs), n_1, ... n_m (outputs)
    activations: f_1 ... f_m; f_m must be linear, which under cross-entropy means softmax;
        SURROGATE is a layer of neurons that spike
    neurons: of each layer, None where it does not spike; nothing for Neuron() where one does
    leak_shift: leaky ReLU has the slope 2**-leak_shift below 0, 1 to 15
    loss: what is minimised
    class_target: whether a target is a class index (always so under cross-entropy), not a vector
    formats: binary points
    frozen: of each layer, whether its weights stay as they are; nothing where all learn
    dropout: of each layer, the probability by which training drops an output of it, a multiple of
        1/256 or what is rounded to one; 0 for the last one and those that spike. Nothing for none

    Raises ValueError when these do not make a network.
    """

    sizes: tuple[int, ...]
    activations: tuple[Activation, ...]
    neurons: tuple[Neuron | None, ...] = ()
    leak_shift: int = 3
    loss: Loss = Loss.CROSS_ENTROPY
    class_target: bool = True
    formats: Formats = field(default_factory=Formats)
    frozen: tuple[bool, ...] = ()
    dropout: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(int(size) for size in self.sizes))
        object.__setattr__(self, "activations", tuple(Activation(a) for a in self.activations))
        object.__setattr__(self, "loss", Loss(self.loss))
        neurons = tuple(Neuron() if a == Activation.SURROGATE else None for a in self.activations)
        object.__setattr__(self, "neurons", tuple(self.neurons) or neurons)
        object.__setattr__(self, "frozen", tuple(self.frozen) or (False,) * len(self.activations))
        object.__setattr__(
            self, "dropout", tuple(self.dropout) or (0.0,) * len(self.activations)
        )
        self._check_shape()
        self._check_neurons()
        self._check_dropout()
        self._check_formats()

    @property
    def layers(self) -> int:
        """m, the number of weight matrices."""
        return len(self.sizes) - 1

    @property
    def learning(self) -> tuple[int, ...]:
        """The layers whose weights learn, 1 to m, in ascending order."""
        return tuple(layer for layer, still in enumerate(self.frozen, start=1) if not still)

    @property
    def weight_shapes(self) -> tuple[tuple[int, int], ...]:
        """Shape of every weight matrix, whose last column is the bias."""
        return tuple((outputs, inputs + 1) for inputs, outputs in pairwise(self.sizes))

    @property
    def output_format(self) -> Format:
        """Binary point of the last layer's outputs."""
        if self.formats.output is not None:
            return self.formats.output
        if self.loss == Loss.CROSS_ENTROPY:
            return numbers.LOGIT
        return self.formats.activation

    @property
    def layer_formats(self) -> tuple[Format, ...]:
        """Binary points of y_0 ... y_m."""
        hidden = (self.formats.activation,) * (self.layers - 1)
        return (self.formats.input, *hidden, self.output_format)

    @property
    def target_width(self) -> int:
        """Words of target for a sample."""
        return 1 if self.class_target else self.sizes[-1]

    def _check_shape(self) -> None:
        if len(self.sizes) < 2:
            raise ValueError(
                f"sizes must be the inputs and then the outputs of every layer, not {self.sizes}"
            )
        if min(self.sizes) < 1:
            raise ValueError(f"every layer must have at least 1 neuron, not {self.sizes}")
        if len(self.activations) != self.layers:
            raise ValueError(
                f"activations must be one for each of {self.layers} layers, "
                f"not {len(self.activations)}"
            )
        if len(self.frozen) != self.layers:
            raise ValueError(
                f"frozen must be one for each of {self.layers} layers, not {len(self.frozen)}"
            )
        if self.activations[-1] != Activation.LINEAR:
            raise ValueError(
                "the last layer's activation must be LINEAR, as the loss starts from its sums "
                f"(cross-entropy applies softmax itself), not {self.activations[-1].name}"
            )
        if not 1 <= self.leak_shift <= 15:
            raise ValueError(f"leak_shift must be from 1 to 15, not {self.leak_shift}")
        if self.loss == Loss.CROSS_ENTROPY and not self.class_target:
            raise ValueError(
                "cross-entropy must have class indices as targets (class_target=True), not vectors"
            )
        if self.class_target and self.sizes[-1] < 2:
            raise ValueError("a network whose targets are classes must have at least 2 outputs")

    def _check_neurons(self) -> None:
        spiking = [a == Activation.SURROGATE for a in self.activations]
        if [neuron is not None for neuron in self.neurons] != spiking:
            raise ValueError(
                "neurons must be given for the layers with the activation SURROGATE and be None "
                f"for the others, not {self.neurons}"
            )
        current, activation = self.formats.current, self.formats.activation
        for neuron in filter(None, self.neurons):
            if not 1 <= threshold_word(neuron, current) <= numbers.WORD_MAX:
                raise ValueError(
                    f"threshold must be from {current.lsb:g} to {current.maximum:g} in the format "
                    f"of currents, {current}, not {neuron.threshold}"
                )
            if activation.fraction < neuron.exponent:
                raise ValueError(
                    f"the activation format must have at least {neuron.exponent} fraction bits "
                    f"for the spikes of {neuron.steps} steps, not {activation}"
                )

    def _check_dropout(self) -> None:
        if len(self.dropout) != self.layers:
            raise ValueError(
                f"dropout must be one for each of {self.layers} layers, not {len(self.dropout)}"
            )
        for layer, (p, kind) in enumerate(
            zip(self.dropout, self.activations, strict=True), start=1
        ):
            if not p:
                continue
            if not 1 <= dropout_rate(p) < 1 << numbers.DROPOUT_BITS:
                raise ValueError(
                    f"dropout of layer {layer} must be 0, or from 1/256 to 255/256 in steps of "
                    f"1/256, not {p}"
                )
            if layer == self.layers:
                raise ValueError(
                    f"dropout must be 0 for the last layer, whose outputs are the answer, not {p}"
                )
            if kind == Activation.SURROGATE:
                raise ValueError(
                    f"dropout of layer {layer} must be 0, as its neurons spike (lif), not {p}: "
                    "drop the outputs of another layer"
                )

    def _check_formats(self) -> None:
        if self.loss == Loss.CROSS_ENTROPY and self.output_format.fraction != 8:
            raise ValueError(
                f"the output format under cross-entropy must be {numbers.LOGIT}, "
                f"not {self.output_format}"
            )
        formats = self.formats
        ones = [("input", formats.input)]
        if self.layers > 1:
            ones.append(("activation", formats.activation))
        if self.class_target:
            ones.append(("output", self.output_format))
        for name, one in ones:
            if one.integer < 1:
                raise ValueError(f"the {name} format must hold 1.0, which {one} does not")
        if any(a in CURVED for a in self.activations) and not 8 <= formats.activation.fraction:
            raise ValueError(
                "the activation format under sigmoid or tanh must have 8 to 14 fraction bits, "
                f"not {formats.activation}"
            )


def threshold_word(neuron: Neuron, fmt: Format) -> int:
    """The threshold in the format of currents."""
    return math.floor(neuron.threshold * 2**fmt.fraction + 0.5)


def dropout_rate(p: float) -> int:
    """The probability of being dropped in multiples of 1/256, as an instruction has it."""
    return math.floor(p * (1 << numbers.DROPOUT_BITS) + 0.5) if math.isfinite(p) else -1


def dense(
    sizes: Sequence[int], activation: Activation = Activation.RELU, **options: object
) -> Network:
    """A network whose hidden layers share one activation; options as of Network."""
    activations = (activation,) * (len(sizes) - 2) + (Activation.LINEAR,)
    return Network(sizes=tuple(sizes), activations=activations, **options)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Stochastic gradient descent: v <- momentum v + g, w <- w - rate v - rate decay w.

    Parameters
    ----------
    rate: eta, above 0; g is the mean gradient over the batch
    momentum: beta, at least 0 and below 1
    decay: lambda of the L2 term lambda/2 |w|^2, at least 0; it covers biases too
    clip_norm: largest norm of g over all layers, which is scaled down to it where it has a larger
        one, before momentum and decay; None: whatever it is

    Raises ValueError when a value is outside its range.
    """

    rate: float
    momentum: float = 0.0
    decay: float = 0.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise ValueError(f"rate must be above 0 and finite, not {self.rate}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, not {self.momentum}")
        if not (math.isfinite(self.decay) and self.decay >= 0):
            raise ValueError(f"decay must be at least 0 and finite, not {self.decay}")
        if self.clip_norm is not None and not 0 < self.clip_norm < math.inf:
            raise ValueError(f"clip_norm must be above 0 and finite, not {self.clip_norm}")
