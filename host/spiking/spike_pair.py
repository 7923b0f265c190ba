"""What a pair of spikes changes: by the rule, and by how much the words of a device may miss that.

    trace of 1.0 --decay, step by step--> trace --coefficient--> change --stochastic rounding--> w
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from host.spiking import constants
from host.spiking.constants import CHANGE_BITS, DECAY_BITS, SOFT_BITS
from host.spiking.layer import synapse_limits
from host.spiking.network import Formats
from host.spiking.rules import PairSTDP
from hw.numbers import WORD_MAX
from hw.spiking import SynapseParameter


class Half(NamedTuple):
    """Potentiation or depression.

    Attributes
    ----------
    sign: of the change
    amplitude, tau: of the exponential, in weights (or shares of the distance from a soft bound)
        and ms
    coefficient, decay: their words
    """

    sign: Literal[1, -1]
    amplitude: float
    tau: float
    coefficient: int
    decay: int


class Change(NamedTuple):
    """Of a weight, in LSB: the exact one, and by how much a device may miss it."""

    exact: float
    bound: float


@dataclass(frozen=True, kw_only=True)
class SpikePair:
    """A weight in the middle of its range, and a pair of spikes t_post - t_pre = difference apart:

        learning_rate a_plus exp(-difference / tau_pre)       where post follows pre
        -learning_rate a_minus exp(difference / tau_post)     where pre follows post

    and where they coincide the second change, then the first. Soft bounds multiply them by
    w_max - w and w - w_min. The neurons have been silent before, so metaplasticity has no say.

    Parameters
    ----------
    rule: with times in ms
    dt: a time step, in ms
    formats: of weights and traces

    Raises CompileError where words of these formats cannot hold what the rule needs.
    """

    rule: PairSTDP = field(default_factory=PairSTDP)
    dt: float = 1.0
    formats: Formats = field(default_factory=Formats)

    def __post_init__(self) -> None:
        # What cannot be is refused here, not at the first use.
        for name in ("one", "limits", "potentiation", "depression"):
            getattr(self, name)

    @cached_property
    def one(self) -> int:
        """What a spike adds to its trace."""
        return constants.fixed("a trace of one spike", 1.0, self.formats.trace.fraction)

    @cached_property
    def limits(self) -> tuple[int, int]:
        """The words of w_min and w_max."""
        words = synapse_limits(self.rule.w_min, self.rule.w_max, self.formats.weight)
        return words[SynapseParameter.LOWER], words[SynapseParameter.UPPER]

    @property
    def start(self) -> int:
        """The weight before the spikes, a word."""
        return (sum(self.limits) + 1) // 2

    @cached_property
    def potentiation(self) -> Half:
        """By a postsynaptic spike, from the presynaptic trace."""
        return self._half(1, "a_plus", "tau_pre")

    @cached_property
    def depression(self) -> Half:
        """By a presynaptic spike, from the postsynaptic trace."""
        return self._half(-1, "a_minus", "tau_post")

    def _half(self, sign: Literal[1, -1], a: str, tau: str) -> Half:
        amplitude = self.rule.learning_rate * getattr(self.rule, a)
        coefficient = constants.coefficient(
            f"learning_rate {a}",
            amplitude,
            weight=self.formats.weight.fraction,
            trace=self.formats.trace.fraction,
            soft=self.soft,
        )
        time = getattr(self.rule, tau)
        return Half(sign, amplitude, time, coefficient, constants.decay(tau, time, self.dt))

    @property
    def soft(self) -> bool:
        """Whether the bounds are."""
        return self.rule.bounds == "soft"

    def change(self, difference: float) -> Change:
        """What a pair changes that is so many ms apart."""
        lower, upper = self.limits
        weight, missed = float(self.start), 0.0
        for half in self._halves(difference):
            # A soft bound may be as much further away as the weight has been missed.
            missed += self._error(half, abs(difference), weight - half.sign * missed)
            exact = half.amplitude * math.exp(-abs(difference) / half.tau)
            weight += half.sign * exact * self._unit(half, weight)
            weight = min(max(weight, lower), upper)
        return Change(weight - self.start, missed)

    def _halves(self, difference: float) -> Iterator[Half]:
        if difference <= 0:
            yield self.depression
        if difference >= 0:
            yield self.potentiation

    def _unit(self, half: Half, weight: float) -> float:
        """What amplitudes multiply, in LSB."""
        if not self.soft:
            return 2.0**self.formats.weight.fraction
        lower, upper = self.limits
        return min(upper - weight if half.sign > 0 else weight - lower, WORD_MAX)

    def _error(self, half: Half, apart: float, weight: float) -> float:
        """By how many LSB a device may miss the change of a half, the sum of

        1 of stochastic rounding, what the words of decay and coefficient are off, what a trace
        loses by flooring, less than 1 a step which itself decays, and the floor of a soft bound
        """
        unit, steps = self._unit(half, weight), apart / self.dt
        slope = half.coefficient * 2.0**-CHANGE_BITS
        floored = 0.0
        if self.soft:
            slope = half.coefficient * unit * 2.0**-SOFT_BITS
            floored = unit * 2.0**-CHANGE_BITS
        loss = -half.decay * 2.0**-DECAY_BITS
        kept = (1 - loss) ** steps
        exact = half.amplitude * math.exp(-apart / half.tau) * unit
        return 1 + abs(slope * self.one * kept - exact) + slope * (1 - kept) / loss + floored
