"""What samples must be before they are split: finite numbers, a target each, classes from 0."""

import numpy as np

from host.data.table import Table, Targets
from hw.numbers import WORD_MAX


def check_table(table: Table, *, classes: bool) -> None:
    """Raise ValueError where the samples of a table are no samples."""
    inputs, targets = table.inputs, table.targets
    for name, array in (("inputs", inputs), ("targets", targets)):
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} must be numbers, not {array.dtype}")
        if not array.size:
            raise ValueError(f"{name} must have at least one sample, not none")
    if inputs.ndim != 2 or len(inputs) != len(targets):
        raise ValueError(
            "inputs must be an array of N x F with a target each, not "
            f"{inputs.shape} with targets {targets.shape}"
        )
    strange = np.argwhere(~np.isfinite(inputs))
    if len(strange):
        row, column = (int(place) for place in strange[0])
        raise ValueError(
            f"every input must be finite, but {inputs[row, column]} stands in column {column}, "
            f"row {row}; drop such samples or replace the value"
        )
    check_targets(targets, classes=classes)


def check_targets(targets: Targets, *, classes: bool) -> None:
    """Raise ValueError where targets are no classes, though they should be."""
    if classes:
        finite = bool(np.isfinite(targets).all())
        whole = finite and targets.ndim == 1 and bool(np.all(targets == np.floor(targets)))
        if not whole or targets.min() < 0 or targets.max() > WORD_MAX:
            raise ValueError(
                f"labels must be whole numbers from 0 on and at most {WORD_MAX}, one for each "
                "sample, or names in a CSV file; number the classes from 0"
            )
