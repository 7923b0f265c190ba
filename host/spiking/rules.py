"""The rules by which spiking networks learn, in physical units: milliseconds, hertz, weights.

They say nothing of a device; `host.spiking.constants` turns them into its words.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

Row = tuple[str, object, bool, str]
"""A name, its value, whether it holds, and what is expected."""


def check(rows: Iterable[Row]) -> None:
    """Raise ValueError on the first row that does not hold."""
    for name, value, holds, expected in rows:
        if not holds:
            raise ValueError(f"{name} must be {expected}, not {value!r}")


def positive(name: str, value: float) -> Row:
    """That it is above 0 and finite."""
    return name, value, 0 < value < math.inf, "above 0 and finite"


def not_negative(name: str, value: float) -> Row:
    """That it is at least 0 and finite."""
    return name, value, 0 <= value < math.inf, "at least 0 and finite"


def bounds(w_min: float, w_max: float) -> Row:
    """That it is a range of weights."""
    finite = math.isfinite(w_min) and math.isfinite(w_max)
    return "w_min", w_min, finite and w_min < w_max, f"below w_max = {w_max!r}, both finite"


def _trace(name: str, value: str) -> Row:
    return name, value, value in ("accumulate", "set"), "accumulate or set"


@dataclass(frozen=True, kw_only=True)
class Metaplasticity:
    """Neurons that have fired much learn less readily: their depression grows by a factor, their
    potentiation falls by it.

    Parameters
    ----------
    activity_threshold: mean spikes a step above which a neuron counts as active
    tau_meta: over what time spikes are averaged, in ms
    scaling_factor: at least 1
    """

    activity_threshold: float = 0.1
    tau_meta: float = 1000.0
    scaling_factor: float = 1.2

    def __post_init__(self) -> None:
        share, factor = self.activity_threshold, self.scaling_factor
        check(
            (
                ("activity_threshold", share, 0 < share < 1, "above 0 and below 1 spike a step"),
                positive("tau_meta", self.tau_meta),
                ("scaling_factor", factor, 1 <= factor < math.inf, "at least 1 and finite"),
            )
        )


@dataclass(frozen=True, kw_only=True)
class PairSTDP:
    """Spike-timing-dependent plasticity of pairs of spikes, with a trace x on either side.

    A postsynaptic spike adds learning_rate a_plus x_pre, a presynaptic one takes away
    learning_rate a_minus x_post; soft bounds multiply by (w_max - w) and (w - w_min).

    Parameters
    ----------
    learning_rate, a_plus, a_minus: as above; an amplitude of 0 leaves that half out, a rate of 0
        learns nothing
    tau_pre, tau_post: of the traces, in ms
    w_min, w_max: range of the weights
    bounds: additive, or soft
    trace_pre, trace_post: whether a spike adds 1 to its trace or sets it to 1
    metaplasticity: how activity changes the amplitudes, or None
    """

    learning_rate: float = 0.01
    tau_pre: float = 20.0
    tau_post: float = 20.0
    a_plus: float = 0.1
    a_minus: float = 0.105
    w_min: float = 0.0
    w_max: float = 1.0
    bounds: Literal["additive", "soft"] = "additive"
    trace_pre: Literal["accumulate", "set"] = "accumulate"
    trace_post: Literal["accumulate", "set"] = "set"
    metaplasticity: Metaplasticity | None = None

    def __post_init__(self) -> None:
        either = self.a_plus > 0 or self.a_minus > 0
        check(
            (
                not_negative("learning_rate", self.learning_rate),
                positive("tau_pre", self.tau_pre),
                positive("tau_post", self.tau_post),
                not_negative("a_plus", self.a_plus),
                not_negative("a_minus", self.a_minus),
                ("a_plus", self.a_plus, either, "above 0 where a_minus is 0"),
                bounds(self.w_min, self.w_max),
                ("bounds", self.bounds, self.bounds in ("additive", "soft"), "additive or soft"),
                _trace("trace_pre", self.trace_pre),
                _trace("trace_post", self.trace_post),
            )
        )


@dataclass(frozen=True, kw_only=True)
class Prototype:
    """The neuron that wins a sample moves towards it: w += learning_rate (x - w).

    x is the presynaptic trace, from 0 to w_max: under latency encoding the time since the input's
    spike, otherwise its decaying trace.

    Parameters
    ----------
    learning_rate: at least 0, which learns nothing, and below 1/2
    tau_pre: of the traces, in ms; without meaning under latency encoding
    w_min, w_max: range of the weights
    """

    learning_rate: float = 0.1
    tau_pre: float = 20.0
    w_min: float = 0.0
    w_max: float = 1.0

    def __post_init__(self) -> None:
        rate = self.learning_rate
        check(
            (
                ("learning_rate", rate, 0 <= rate < 0.5, "at least 0 and below 0.5"),
                positive("tau_pre", self.tau_pre),
                bounds(self.w_min, self.w_max),
            )
        )


@dataclass(frozen=True, kw_only=True)
class ClimbingFibre:
    """An error of an output gates the plasticity of its parallel-fibre synapses.

    The fibre of output c fires where t_c y_c < margin, t_c = 1 for the sample's class and -1 for
    the others. The synapses of the active inputs then change, by `potentiation` for the class and
    by -`depression` for the others; without a climbing spike by `tonic`.

    Parameters
    ----------
    margin: at least 0
    potentiation, depression: at least 0; where both are 0, as `tonic` is, nothing is learned
    tonic: of either sign
    w_min, w_max: range of the weights
    """

    margin: float = 4.0
    potentiation: float = 2**-6
    depression: float = 2**-6
    tonic: float = 0.0
    w_min: float = -2.0
    w_max: float = 2 - 2**-6

    def __post_init__(self) -> None:
        check(
            (
                not_negative("margin", self.margin),
                not_negative("potentiation", self.potentiation),
                not_negative("depression", self.depression),
                ("tonic", self.tonic, math.isfinite(self.tonic), "finite"),
                bounds(self.w_min, self.w_max),
            )
        )

    def weighted(self, weight: float) -> "ClimbingFibre":
        """The rule whose changes are `weight` times as large."""
        return replace(
            self,
            potentiation=weight * self.potentiation,
            depression=weight * self.depression,
            tonic=weight * self.tonic,
        )


@dataclass(frozen=True, kw_only=True)
class Hybrid:
    """Prototypes learn without labels, and a readout of the winners by climbing fibres, in turns.

    Parameters
    ----------
    prototype, climbing_fibre: the two rules
    stdp_weight, supervised_weight: what their changes are multiplied by
    stdp_epochs, supervised_epochs: how many epochs of the one are followed by how many of the other
    """

    prototype: Prototype = field(default_factory=Prototype)
    climbing_fibre: ClimbingFibre = field(default_factory=ClimbingFibre)
    stdp_weight: float = 0.7
    supervised_weight: float = 0.3
    stdp_epochs: int = 5
    supervised_epochs: int = 1

    def __post_init__(self) -> None:
        check(
            (
                positive("stdp_weight", self.stdp_weight),
                positive("supervised_weight", self.supervised_weight),
                ("stdp_epochs", self.stdp_epochs, self.stdp_epochs >= 1, "at least 1"),
                (
                    "supervised_epochs",
                    self.supervised_epochs,
                    self.supervised_epochs >= 1,
                    "at least 1",
                ),
            )
        )

    def supervised(self, epoch: int) -> bool:
        """Whether `epoch` (from 0) is one of the readout's."""
        return epoch % (self.stdp_epochs + self.supervised_epochs) >= self.stdp_epochs

    @property
    def unsupervised_rule(self) -> Prototype:
        """The prototypes' rule, weighted."""
        rate = self.stdp_weight * self.prototype.learning_rate
        return replace(self.prototype, learning_rate=rate)

    @property
    def supervised_rule(self) -> ClimbingFibre:
        """The readout's rule, weighted."""
        return self.climbing_fibre.weighted(self.supervised_weight)


Rule = PairSTDP | Prototype | ClimbingFibre | Hybrid
