"""How much like a nervous system a spiking network is: figures judged against stated ranges.

    Activity, weights --> figures --> within its range or not --> share of each group --> score

A range says what is usual in animals, not what is right; its bounds are wide on purpose, and its
source stands beside it. A figure that a network does not have, such as a rate in Hz of one without
time, is left out.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.spiking.activity import Activity

Values = NDArray[np.floating]

EFFECTIVE = 0.1
"""A synapse counts as a connection from this share of the largest weight on."""


@dataclass(frozen=True)
class Range:
    """What is usual.

    Attributes
    ----------
    group: 'firing rates', 'weights' or 'connectivity'
    name: the figure, with its unit
    low, high: within which it is usual
    source: who says so
    """

    group: str
    name: str
    low: float
    high: float
    source: str


BUZSAKI = "Buzsaki and Mizuseki, Nat Rev Neurosci 15, 264 (2014)"
RANGES = {
    "mean_rate": Range(
        "firing rates",
        "mean rate, Hz",
        0.1,
        20.0,
        "Attwell and Laughlin, J Cereb Blood Flow Metab 21, 1133 (2001): 4 Hz on average",
    ),
    "rate_skewness": Range(
        "firing rates",
        "skewness of the rates",
        0.0,
        float("inf"),
        f"{BUZSAKI}: few neurons fire much more than the others",
    ),
    "active_share": Range(
        "firing rates",
        "share of cells active in a sample",
        0.005,
        0.35,
        "Olshausen and Field, Curr Opin Neurobiol 14, 481 (2004): sparse codes",
    ),
    "silent_share": Range(
        "firing rates",
        "share of cells that never fire",
        0.0,
        0.5,
        "Shoham, O'Connor and Segev, J Comp Physiol A 192, 777 (2006): many are silent",
    ),
    "weight_skewness": Range(
        "weights",
        "skewness of the strengths",
        0.0,
        float("inf"),
        "Song et al., PLoS Biol 3, e68 (2005): many weak synapses, few strong ones",
    ),
    "weight_variation": Range(
        "weights",
        "standard deviation of the strengths over their mean",
        0.3,
        2.5,
        "Song et al., PLoS Biol 3, e68 (2005): log-normal, 1.2 by its parameters",
    ),
    "one_sign": Range(
        "weights",
        "share of presynaptic cells with synapses of one sign",
        0.9,
        1.0,
        "Eccles, Fatt and Koketsu, J Physiol 126, 524 (1954): Dale's principle",
    ),
    "density": Range(
        "connectivity",
        "share of synapses that count",
        0.01,
        0.5,
        "Song et al., PLoS Biol 3, e68 (2005): 0.12 among neighbours in layer 5",
    ),
    "unconnected": Range(
        "connectivity",
        "share of neurons without a synapse that counts",
        0.0,
        0.1,
        "as every neuron in a circuit has inputs",
    ),
    "granule_inputs": Range(
        "connectivity",
        "mossy fibres of a granule cell",
        2.0,
        7.0,
        "Eccles, Ito and Szentagothai, The Cerebellum as a Neuronal Machine (1967): 4",
    ),
}


def validate(
    activity: Activity, weights: Mapping[str, Values], *, fan_in: int | None = None
) -> dict[str, Any]:
    """Every figure with its range, the share of each group that is within, and their mean.

    Parameters
    ----------
    activity: over test samples
    weights: real values (postsynaptic, presynaptic), by name
    fan_in: of granule cells, None where there are none
    """
    figures = {**_firing(activity), **_strengths(weights), **_connections(weights)}
    if fan_in is not None:
        figures["granule_inputs"] = float(fan_in)
    rows = []
    for key, value in figures.items():
        usual = RANGES[key]
        within = bool(usual.low <= value <= usual.high)
        high = None if np.isinf(usual.high) else usual.high
        rows.append({**asdict(usual), "high": high, "value": value, "within": within})
    groups = {}
    for group in dict.fromkeys(row["group"] for row in rows):
        own = [row["within"] for row in rows if row["group"] == group]
        groups[group] = sum(own) / len(own)
    return {
        "figures": rows,
        "groups": groups,
        "score": sum(groups.values()) / len(groups) if groups else 0.0,
    }


def _firing(activity: Activity) -> dict[str, float]:
    counts, rates = activity.counts, activity.rates
    found = {
        "active_share": float((counts > 0).mean()),
        "silent_share": float((counts.sum(axis=0) == 0).mean()),
    }
    if rates is not None:
        found = {"mean_rate": float(rates.mean()), **found}
    means = counts.mean(axis=0)
    if np.ptp(means):
        found["rate_skewness"] = skewness(means)
    return found


def _strengths(weights: Mapping[str, Values]) -> dict[str, float]:
    """Of all synapses that there are: strength is the size of a weight, without its sign."""
    strengths = np.concatenate([np.abs(own).reshape(-1) for own in weights.values()])
    found = {}
    if np.ptp(strengths):
        found["weight_skewness"] = skewness(strengths)
        found["weight_variation"] = float(strengths.std() / strengths.mean())
    signs = [((own >= 0).all(axis=0) | (own <= 0).all(axis=0)) for own in weights.values()]
    found["one_sign"] = float(np.concatenate(signs).mean())
    return found


def _connections(weights: Mapping[str, Values]) -> dict[str, float]:
    there = [np.abs(own) >= EFFECTIVE * max(np.abs(own).max(), 1e-300) for own in weights.values()]
    return {
        "density": float(np.concatenate([own.reshape(-1) for own in there]).mean()),
        "unconnected": float(np.concatenate([~own.any(axis=1) for own in there]).mean()),
    }


def skewness(values: Values) -> float:
    """The third standardized moment: the mean of ((x - mean) / standard deviation)**3."""
    real = np.asarray(values, np.float64)
    return float((((real - real.mean()) / real.std()) ** 3).mean())
