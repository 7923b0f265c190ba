"""What a spiking network is made of, in physical units, checked and frozen.

    PairSTDP, Prototype   inputs --Encoding--> spikes --weights--> Neurons --> labels by vote
    Hybrid                inputs --Encoding--> spikes --weights--> Neurons --weights--> outputs
    ClimbingFibre         inputs --Granules--> active cells --weights--> outputs

It says nothing of a device; `host.spiking.compiler` fits it to one.
"""

from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from host.spiking.rules import ClimbingFibre, PairSTDP, Rule, check, not_negative, positive
from hw import numbers
from hw.numbers import Format

EncodingKind = Literal["rate", "poisson", "latency", "level"]
KINDS: tuple[str, ...] = get_args(EncodingKind)


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How intensities from 0 to 1 become spikes in the time steps of a sample.

    Parameters
    ----------
    kind: `rate`: regularly; `poisson`: at random; `latency`: once, the earlier the stronger;
        `level`: spikes that the host puts there, intensities of N steps x inputs being 0 or 1
    steps: of a sample
    dt: a step, in ms
    max_rate: of an intensity of 1, in Hz; without meaning for latency and level
    """

    kind: EncodingKind = "rate"
    steps: int = 100
    dt: float = 1.0
    max_rate: float = 100.0

    def __post_init__(self) -> None:
        least = 2 if self.kind == "latency" else 1
        rate, most = self.max_rate, 1000 / self.dt if self.dt > 0 else 0.0
        check(
            (
                ("kind", self.kind, self.kind in KINDS, f"one of {', '.join(KINDS)}"),
                ("steps", self.steps, least <= self.steps <= 0x7FFF, f"from {least} to 32767"),
                positive("dt", self.dt),
                ("max_rate", rate, 0 < rate <= most, f"above 0 and at most a spike a step, {most}"),
            )
        )

    @property
    def duration(self) -> float:
        """Of a sample, in ms."""
        return self.steps * self.dt


OPTIONAL = ("tau_membrane", "threshold", "tau_threshold")
"""What neurons may be without."""

OF_PAIRS = ("threshold", "reset", "refractory", "winner_take_all", "inhibition")
"""What neurons have that fire in any step, not only when a sample ends."""


@dataclass(frozen=True, kw_only=True)
class Neurons:
    """A population of leaky integrate-and-fire neurons, each with synapses from all inputs.

    Under PairSTDP they fire whenever they reach their thresholds. Under Prototype and Hybrid the
    potential is only looked at when the sample ends: the `winners` furthest above their own
    thresholds fire, whatever these are, and what belongs to OF_PAIRS has no meaning.

    Parameters
    ----------
    count: neurons
    tau_membrane: of the potential, in ms; None: nothing leaks away
    threshold: potential at which a neuron fires, in weights that spikes have brought
    reset: potential after a spike
    refractory: rest after a spike, in ms
    threshold_increment: by how much a spike raises the neuron's own threshold
    tau_threshold: in which that falls again, in ms; None: it stays
    winner_take_all: only the neuron furthest above its threshold fires in a step
    inhibition: a spike resets the potentials of all
    winners: neurons that answer a sample, only the first of which learns; not of PairSTDP
    first_weights: training samples, or random ones
    """

    count: int
    tau_membrane: float | None = None
    threshold: float | None = None
    reset: float = 0.0
    refractory: float = 0.0
    threshold_increment: float = 0.0
    tau_threshold: float | None = None
    winner_take_all: bool = True
    inhibition: bool = True
    winners: int = 1
    first_weights: Literal["samples", "random"] = "samples"

    def __post_init__(self) -> None:
        first, winners = self.first_weights, self.winners
        given = ((name, getattr(self, name)) for name in OPTIONAL)
        check(
            (
                ("count", self.count, self.count >= 1, "at least 1"),
                *(positive(name, value) for name, value in given if value is not None),
                not_negative("refractory", self.refractory),
                not_negative("threshold_increment", self.threshold_increment),
                (
                    "winners",
                    winners,
                    1 <= winners <= self.count,
                    f"from 1 to the {self.count} neurons",
                ),
                ("first_weights", first, first in ("samples", "random"), "samples or random"),
            )
        )


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Synaptic scaling: the weights of a neuron keep the same norm.

    Parameters
    ----------
    norm: `l1`: sum of magnitudes; `l2`: root of the sum of squares
    target: what it is brought to
    rows: of all neurons, or of the sample's winners
    """

    norm: Literal["l1", "l2"] = "l1"
    target: float = 1.0
    rows: Literal["all", "winner"] = "all"

    def __post_init__(self) -> None:
        check(
            (
                ("norm", self.norm, self.norm in ("l1", "l2"), "l1 or l2"),
                positive("target", self.target),
                ("rows", self.rows, self.rows in ("all", "winner"), "all or winner"),
            )
        )


@dataclass(frozen=True, kw_only=True)
class Granules:
    """A fixed sparse random expansion: a cell sums `fan_in` inputs, each +x or -x, and is active
    where the sum reaches its own threshold, which training samples do to a share of `sparsity`.
    """

    cells: int = 2000
    fan_in: int = 4
    sparsity: float = 0.2

    def __post_init__(self) -> None:
        check(
            (
                ("cells", self.cells, self.cells >= 1, "at least 1"),
                ("fan_in", self.fan_in, self.fan_in >= 1, "at least 1"),
                ("sparsity", self.sparsity, 0 < self.sparsity < 1, "above 0 and below 1"),
            )
        )


@dataclass(frozen=True, kw_only=True)
class Formats:
    """Binary points: of inputs, weights, potentials (thresholds and currents too), traces."""

    input: Format = numbers.ACTIVATION
    weight: Format = field(default_factory=lambda: Format(1, 14))
    potential: Format = field(default_factory=lambda: Format(7, 8))
    trace: Format = field(default_factory=lambda: Format(3, 12))

    def __post_init__(self) -> None:
        shift = self.weight.fraction - self.potential.fraction
        if shift < 0:
            raise ValueError(
                f"potentials must have at most the fraction bits of weights, {self.weight}, "
                f"not {self.potential}"
            )


@dataclass(frozen=True, kw_only=True)
class SpikingNetwork:
    """A spiking network and the rule by which it learns.

    Parameters
    ----------
    inputs: intensities a sample; under level encoding inputs a step
    classes: of the labels
    rule: how it learns
    encoding, neurons: of all rules but ClimbingFibre
    scaling: of the neurons' weights, or None
    granules: of ClimbingFibre
    formats: binary points

    Raises ValueError where a part is missing or has no meaning under the rule.
    """

    inputs: int
    classes: int
    rule: Rule
    encoding: Encoding | None = None
    neurons: Neurons | None = None
    scaling: Scaling | None = None
    granules: Granules | None = None
    formats: Formats = field(default_factory=Formats)

    def __post_init__(self) -> None:
        check(
            (
                ("inputs", self.inputs, self.inputs >= 1, "at least 1"),
                ("classes", self.classes, self.classes >= 2, "at least 2"),
            )
        )
        cerebellar = isinstance(self.rule, ClimbingFibre)
        name = type(self.rule).__name__
        parts = (
            ("encoding", self.encoding, not cerebellar),
            ("neurons", self.neurons, not cerebellar),
            ("granules", self.granules, cerebellar),
        )
        for part, given, needed in parts:
            if (given is not None) != needed:
                verb = "be given" if needed else "be left out"
                raise ValueError(f"{part} must {verb} under the rule {name}")
        if cerebellar and self.scaling is not None:
            raise ValueError(f"scaling must be left out under the rule {name}")
        if self.neurons is not None:
            self._check_neurons(self.neurons, name)

    def _check_neurons(self, neurons: Neurons, name: str) -> None:
        pairs = isinstance(self.rule, PairSTDP)
        if pairs and neurons.threshold is None:
            raise ValueError(f"threshold of the neurons must be given under the rule {name}")
        defaults = {field.name: field.default for field in fields(Neurons)}
        for part in ("winners",) if pairs else OF_PAIRS:
            value = getattr(neurons, part)
            if value != defaults[part]:
                when = "whenever they reach a threshold" if pairs else "when a sample ends"
                raise ValueError(
                    f"{part} of the neurons must be left out under the rule {name}, under which "
                    f"they fire {when}, not {value!r}"
                )
        if pairs and self.scaling is not None and self.scaling.rows == "winner":
            raise ValueError(f"rows of the scaling must be all under the rule {name}, not 'winner'")
