"""Pictures: rasters, weight maps, firing rates, the STDP window, and the learning rate's range.

All are PNG at 300 dpi. matplotlib is the extra `pictures`.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DPI = 300
BLUE, ORANGE, GREY = "#1f5a8a", "#c4561a", "#8a8a8a"
"""Two hues that differ in lightness too, so that they differ in grey."""


def new_figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError(
            "pictures need matplotlib, which is not installed: pip install 'synaptile[pictures]'"
        ) from None
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)
    return path


def plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def stdp_window_picture(
    path: Path,
    differences: NDArray[np.floating],
    measured: NDArray[np.integer],
    exact: NDArray[np.floating],
    bounds: NDArray[np.floating],
    *,
    curves: Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]],
    title: str,
) -> Path:
    """Weight changes over t_post - t_pre in ms, and below what they deviate, all in LSB.

    Parameters
    ----------
    differences, measured, exact: of the pairs
    bounds: what the deviations may be, drawn as a band
    curves: pieces of the exact curve, as differences and changes
    """
    figure = new_figure(6.4, 5.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3.0, 1.2])
    for axes in (top, bottom):
        axes.axhline(0, color=GREY, linewidth=0.6)
        axes.axvline(0, color=GREY, linewidth=0.6)
        plain(axes)
    for label, (times, changes) in zip(("exact", None), curves, strict=False):
        top.plot(times, changes, color=ORANGE, linewidth=1.2, label=label)
    # Spikes that coincide are on neither piece.
    both = differences == 0
    top.plot(differences[both], exact[both], "_", color=ORANGE, markersize=8)
    marks = {"color": BLUE, "linestyle": "none", "marker": ".", "markersize": 3.5}
    top.plot(differences, measured, **marks, label="measured")
    top.set_ylabel("change of the weight, LSB")
    top.set_title(title, fontsize=10)
    top.legend(frameon=False)
    band = {"color": ORANGE, "alpha": 0.25, "linewidth": 0, "step": "mid"}
    bottom.fill_between(differences, -bounds, bounds, **band, label="bound of the formats")
    bottom.plot(differences, measured - exact, **marks)
    bottom.set_ylabel("deviation, LSB")
    bottom.set_xlabel("$t_{post} - t_{pre}$, ms")
    bottom.set_xlim(1.02 * differences[0], 1.02 * differences[-1])
    bottom.legend(frameon=False, loc="lower right", fontsize=8)
    figure.align_ylabels()
    return save(figure, path)


def rate_range_picture(
    path: Path,
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    *,
    suggestion: float | None,
    title: str,
) -> Path:
    """Loss over the learning rate, on a logarithmic axis: of each batch, and smoothed."""
    figure = new_figure(6.4, 4.0)
    axes = figure.add_subplot()
    axes.plot(rates, losses, ".", color=GREY, markersize=3.5, label="of a batch")
    axes.plot(rates, smoothed, color=BLUE, linewidth=1.6, label="smoothed")
    if suggestion is not None:
        label = f"steepest descent, {suggestion:.3g}"
        axes.axvline(suggestion, color=ORANGE, linewidth=1.2, label=label)
    axes.set_xscale("log")
    # A loss that has run away would leave nothing to see of the fall before.
    low, top = min(losses), max(losses[: len(losses) // 2 + 1])
    axes.set_ylim(low - 0.05 * (top - low), top + 0.25 * (top - low))
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False)
    plain(axes)
    return save(figure, path)


def weight_maps(
    path: Path, weights: NDArray[np.floating], *, title: str, most: int = 100
) -> Path:
    """The weights of each of the first `most` neurons as a square of grey, on one scale.

    `weights` is (neurons, inputs); inputs are laid out in a square where they make one.
    """
    shown = weights[:most]
    side = math.isqrt(shown.shape[1])
    shape = (side, side) if side * side == shown.shape[1] else (1, shown.shape[1])
    columns = math.ceil(math.sqrt(len(shown)))
    rows = -(-len(shown) // columns)
    figure = new_figure(6.4, 6.4 * rows / columns + 0.6)
    low, high = float(shown.min()), float(shown.max())
    grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    image = None
    for axes, row in zip(grid, shown, strict=False):
        image = axes.imshow(row.reshape(shape), cmap="gray_r", vmin=low, vmax=high)
    for axes in grid:
        axes.set_axis_off()
    figure.suptitle(title, fontsize=10)
    figure.colorbar(image, ax=list(grid), shrink=0.6, label="weight")
    return save(figure, path)


def firing_rates(
    path: Path, counts: NDArray[np.number], *, title: str, label: str = "spikes per sample"
) -> Path:
    """A histogram of the mean spikes of each neuron; `counts` is (samples, neurons)."""
    figure = new_figure(6.4, 3.6)
    axes = figure.add_subplot()
    means = counts.mean(axis=0)
    axes.hist(means, bins=min(40, max(10, counts.shape[1] // 3)), color=BLUE)
    axes.axvline(means.mean(), color=ORANGE, linewidth=1.2, label=f"mean {means.mean():.3g}")
    axes.set_xlabel(label)
    axes.set_ylabel("neurons")
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False)
    plain(axes)
    return save(figure, path)


def spike_raster(
    path: Path,
    populations: Mapping[str, tuple[NDArray[Any], NDArray[Any], int]],
    *,
    steps: int,
    dt: float,
    title: str,
) -> Path:
    """Spikes over time, a panel for each population.

    Parameters
    ----------
    populations: by name the time steps of its spikes, their neurons, and how many neurons it has
    steps, dt: of the whole picture, and ms of a step
    """
    figure = new_figure(6.4, 1.0 + 2.2 * len(populations))
    panels = figure.subplots(len(populations), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, (times, neurons, size)) in zip(panels, populations.items(), strict=True):
        # A mark is about as high as the line of its neuron, and never too small to be seen.
        size_of_mark = min(12.0, max(4.0, 130.0 / size))
        axes.plot(times * dt, neurons, "|", color=BLUE, markersize=size_of_mark)
        axes.set_ylim(-1, size)
        axes.set_ylabel(name)
        plain(axes)
    panels[-1].set_xlim(-0.5 * dt, (steps - 0.5) * dt)
    panels[-1].set_xlabel("time, ms")
    panels[0].set_title(title, fontsize=10)
    return save(figure, path)
