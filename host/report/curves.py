"""The pictures of a report: curves over epochs, the spread of weights, and all of them at the end.

All are PNG at 300 dpi, drawn as `host.pictures` draws.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.pictures import BLUE, GREY, ORANGE, new_figure, plain, save


def curves(
    path: Path,
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    label: str,
    logarithmic: bool = False,
    percent: bool = False,
) -> Path:
    """Lines over epochs, by name their epochs and values; a share times 100 where `percent`.

    A logarithmic scale is taken only where all values are positive and span a factor of 4.
    """
    figure = new_figure(6.4, 3.8)
    axes = figure.add_subplot()
    scale = 100.0 if percent else 1.0
    everything: list[float] = []
    for (name, (epochs, values)), colour in zip(lines.items(), (BLUE, ORANGE, GREY), strict=False):
        scaled = [scale * value for value in values]
        everything += scaled
        marker = "o" if len(scaled) < 30 else None
        axes.plot(epochs, scaled, color=colour, linewidth=1.4, marker=marker, markersize=3,
                  label=name)  # fmt: skip
    if logarithmic and min(everything) > 0 and max(everything) > 4 * min(everything):
        axes.set_yscale("log")
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.set_title(title, fontsize=10)
    axes.margins(x=0.02)
    _whole(axes.xaxis)
    if len(lines) > 1:
        axes.legend(frameon=False)
    axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.6)
    plain(axes)
    return save(figure, path)


def rate_schedule(path: Path, epochs: Sequence[int], rates: Sequence[float], *, label: str) -> Path:
    """The learning rate of every epoch, as steps."""
    figure = new_figure(6.4, 3.0)
    axes = figure.add_subplot()
    edges = [epochs[0] - 0.5, *(epoch + 0.5 for epoch in epochs)]
    axes.stairs(rates, edges, color=BLUE, linewidth=1.4, baseline=None)
    if min(rates) > 0 and max(rates) > 4 * min(rates):
        axes.set_yscale("log", base=2)
    else:
        axes.set_ylim(0, 1.1 * max(rates) or 1)
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.set_title("learning rate", fontsize=10)
    axes.margins(x=0.02)
    _whole(axes.xaxis)
    axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.6)
    plain(axes)
    return save(figure, path)


def weight_evolution(
    path: Path, epochs: Sequence[int], quantiles: Mapping[str, NDArray[np.floating]]
) -> Path:
    """How the weights of each matrix spread over epochs, a panel each.

    `quantiles` are by name (epochs, 7): minimum, 5 %, 25 %, median, 75 %, 95 %, maximum.
    """
    figure = new_figure(6.4, 1.0 + 2.3 * len(quantiles))
    panels = figure.subplots(len(quantiles), 1, sharex=True, squeeze=False)[:, 0]
    bands = ((0, 6, 0.15, "all"), (1, 5, 0.25, "5 to 95 %"), (2, 4, 0.4, "25 to 75 %"))
    for axes, (name, values) in zip(panels, quantiles.items(), strict=True):
        for low, high, alpha, label in bands:
            axes.fill_between(
                epochs, values[:, low], values[:, high], color=BLUE, alpha=alpha, linewidth=0,
                label=label,
            )  # fmt: skip
        axes.plot(epochs, values[:, 3], color=ORANGE, linewidth=1.4, label="median")
        axes.set_ylabel(f"weights of {name.replace('_', ' ')}")
        axes.margins(x=0)
        plain(axes)
    panels[-1].set_xlabel("epoch")
    _whole(panels[-1].xaxis)
    panels[0].set_title("how the weights spread", fontsize=10)
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, ncols=4, fontsize=8,
                  loc="outside lower center")  # fmt: skip
    return save(figure, path)


def connectivity_matrix(path: Path, weights: Mapping[str, NDArray[np.floating]]) -> Path:
    """Every matrix of weights, postsynaptic by presynaptic, in colours about 0."""
    figure = new_figure(6.4, 0.6 + 2.8 * len(weights))
    panels = figure.subplots(len(weights), 1, squeeze=False)[:, 0]
    for axes, (name, values) in zip(panels, weights.items(), strict=True):
        most = float(np.abs(values).max()) or 1.0
        # All of one sign: white is 0, and the other half of the colours would be of no use.
        low = -most if values.min() < 0 else 0.0
        colours = "RdBu_r" if low else "Blues"
        image = axes.imshow(
            values, cmap=colours, vmin=low, vmax=most, aspect="auto", interpolation="nearest"
        )
        axes.set_title(f"{name.replace('_', ' ')}: {values.shape[0]} x {values.shape[1]}",
                       fontsize=10)  # fmt: skip
        axes.set_xlabel("presynaptic")
        axes.set_ylabel("postsynaptic")
        _whole(axes.xaxis)
        _whole(axes.yaxis)
        figure.colorbar(image, ax=axes, label="weight")
    return save(figure, path)


def _whole(axis: Any) -> None:
    """Ticks at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True))
