"""First weights of layers, drawn from a seed, or read from a file for the layers that take them.

    n inputs, m outputs           normal: deviation     uniform: within +-
    he        (for ReLU)          sqrt(2 / n)           sqrt(6 / n)
    xavier    (tanh, linear)      sqrt(2 / (n + m))     sqrt(6 / (n + m))
    orthogonal                    rows or columns of length 1, at right angles
    normal                        0.02
    zeros

Biases, the last column, begin with 0.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from host.network import Network

Reals = NDArray[np.float64]

SMALL = 0.02
"""Deviation of 'normal'."""


def _he(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    """He et al., "Delving deep into rectifiers", 2015."""
    return rng.normal(0.0, np.sqrt(2 / shape[1]), shape)


def _he_uniform(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    limit = np.sqrt(6 / shape[1])
    return rng.uniform(-limit, limit, shape)


def _xavier(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    """Glorot and Bengio, "Understanding the difficulty of training deep networks", 2010."""
    return rng.normal(0.0, np.sqrt(2 / sum(shape)), shape)


def _xavier_uniform(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    limit = np.sqrt(6 / sum(shape))
    return rng.uniform(-limit, limit, shape)


def _orthogonal(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    """Saxe et al., "Exact solutions to the nonlinear dynamics of learning", 2014.

    Q of a normal matrix, with the signs that make R's diagonal positive: each Q is then as likely
    as any other.
    """
    tall = (max(shape), min(shape))
    q, r = np.linalg.qr(rng.normal(0.0, 1.0, tall))
    q *= np.sign(np.diag(r))
    return q if tall == shape else q.T


def _normal(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    return rng.normal(0.0, SMALL, shape)


def _zeros(rng: np.random.Generator, shape: tuple[int, int]) -> Reals:
    return np.zeros(shape)


INITS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Reals]] = {
    "he": _he,
    "he_uniform": _he_uniform,
    "xavier": _xavier,
    "xavier_uniform": _xavier_uniform,
    "orthogonal": _orthogonal,
    "normal": _normal,
    "zeros": _zeros,
}
"""By name: weights of a shape (outputs, inputs), drawn."""


def check_init(name: str) -> None:
    """Raise ValueError unless `name` is one of INITS."""
    if name not in INITS:
        raise ValueError(f"init must be one of {', '.join(INITS)}, not {name!r}")


def draw(inits: Sequence[str], network: Network, seed: int) -> list[Reals]:
    """First weights of every layer, n_l x (n_{l-1} + 1), drawn in turn from default_rng(seed)."""
    rng = np.random.default_rng(seed)
    weights = []
    for name, (outputs, columns) in zip(inits, network.weight_shapes, strict=True):
        matrix = np.zeros((outputs, columns))
        matrix[:, :-1] = INITS[name](rng, (outputs, columns - 1))
        weights.append(matrix)
    return weights


def he_normal(network: Network, seed: int) -> list[Reals]:
    """First weights where nobody says anything else."""
    return draw(("he",) * network.layers, network, seed)
