"""What a device has counted, and what that means for a network: loss, accuracy, utilisation."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from host.devices.device import Device
from host.network import Network
from hw.config import DeviceConfig
from hw.isa import COUNTER_WORDS, COUNTERS, SATURATION_COUNTERS, Loss, Region
from hw.numbers import GRADIENT_GUARD_BITS, LOSS_FRACTION_BITS

SUMS = ("cycles", "waiting", "busy", "samples", "correct", "loss", "norm")
"""Counters that only grow, so that a difference of two readings belongs to what ran between."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Readings of the device's counters, or a difference or a sum of such.

    Attributes
    ----------
    totals: by the names of SUMS
    saturations: by statistic
    """

    totals: dict[str, int]
    saturations: NDArray[np.int64]

    @classmethod
    def zero(cls) -> "Counts":
        """Nothing counted."""
        return cls(dict.fromkeys(SUMS, 0), np.zeros(SATURATION_COUNTERS, np.int64))

    @classmethod
    def read(cls, device: Device) -> "Counts":
        """The device's counters now."""
        words = device.read(Region.COUNTERS, 0, COUNTER_WORDS).astype("<u2")
        totals = {}
        for name in SUMS:
            counter = COUNTERS[name]
            own = words[counter.address : counter.address + counter.words]
            totals[name] = int.from_bytes(own.tobytes(), "little")
        first = COUNTERS["saturations"].address
        saturations = words[first : first + 2 * SATURATION_COUNTERS].view("<u4")
        return cls(totals, saturations.astype(np.int64))

    def __getitem__(self, name: str) -> int:
        return self.totals[name]

    def __sub__(self, earlier: "Counts") -> "Counts":
        totals = {name: self[name] - earlier[name] for name in SUMS}
        return Counts(totals, self.saturations - earlier.saturations)

    def __add__(self, other: "Counts") -> "Counts":
        totals = {name: self[name] + other[name] for name in SUMS}
        return Counts(totals, self.saturations + other.saturations)


def mean_loss(network: Network, counts: Counts) -> float | None:
    """Cross-entropy in nats a sample, or (y - t)^2 a sample and output; None without samples.

    The device counts cross-entropy with 16 fraction bits, (y - t)^2 with twice the output's.
    """
    if not counts["samples"]:
        return None
    if network.loss == Loss.CROSS_ENTROPY:
        return counts["loss"] / (counts["samples"] << LOSS_FRACTION_BITS)
    scale = counts["samples"] * network.sizes[-1] << 2 * network.output_format.fraction
    return counts["loss"] / scale


def accuracy(network: Network, counts: Counts) -> float | None:
    """Right answers over samples; None where targets are no classes or there were no samples."""
    if not network.class_target or not counts["samples"]:
        return None
    return counts["correct"] / counts["samples"]


def mean_norm(network: Network, counts: Counts, updates: int) -> float:
    """The mean norm of the gradients of so many updates, whose sum the device counts."""
    fraction = network.formats.momentum.fraction + GRADIENT_GUARD_BITS
    return counts["norm"] / (updates << fraction)


def useful_macs(network: Network, *, bias: bool = False) -> int:
    """Multiply-accumulates that learning one sample takes: forward, dX and dW.

    A layer has n_l n_{l-1} of each, one that is frozen no dW, and no dX up to the first one that
    learns. With `bias`, its n_l products with the constant one count too, forward and for dW.
    """
    learning = network.learning
    total = 0
    for layer, (inputs, outputs) in enumerate(pairwise(network.sizes), start=1):
        total += outputs * (inputs + bias) * (1 + (layer in learning))
        if learning and layer > learning[0]:
            total += outputs * inputs
    return total


def mac_utilisation(network: Network, config: DeviceConfig, counts: Counts) -> float | None:
    """Useful multiply-accumulates of training over those the array could have done meanwhile.

    Cycles in which the device waited for samples are not the array's. None for a device without
    a clock.
    """
    cycles = working_cycles(counts)
    if cycles is None:
        return None
    return useful_macs(network) * counts["samples"] / (config.processing_elements * cycles)


def working_cycles(counts: Counts) -> int | None:
    """Cycles of a program less those it waited for samples; None for a device without a clock."""
    return counts["cycles"] - counts["waiting"] or None
