"""Market data as JSON: what was traded at a time, and what should have been done then.

    {"training_examples": [
        {"input": {"price", "volume", "bid", "ask", "timestamp" in ms, "features": [...]},
         "target": {"action": "buy" | "sell" | "hold", "confidence", "quantity", "expected_return"},
         "weight"}]}
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from host.data.json_file import Document, parsed_document
from host.data.table import Table

ACTIONS = ("buy", "hold", "sell")
"""The classes, 0 to 2."""

NUMBERS = ("price", "volume", "bid", "ask", "timestamp")
"""Columns of every example, before its features."""

VALUES = ("confidence", "quantity", "expected_return")
"""Targets that are values."""

Amount = Annotated[float, Field(ge=0)]


class Quote(Document):
    """`input`."""

    price: float
    volume: Amount
    bid: float
    ask: float
    timestamp: Amount
    features: list[float] = []


class Decision(Document):
    """`target`."""

    action: Literal["buy", "sell", "hold"]
    confidence: float | None = None
    quantity: float | None = None
    expected_return: float | None = None


class Example(Document):
    """An element of `training_examples`."""

    input: Quote
    target: Decision
    weight: Amount = 1.0


class Market(Document):
    """The file."""

    training_examples: Annotated[list[Example], Field(min_length=1)]


def market_table(name: str, text: bytes, target: Sequence[str], *, classes: bool) -> Table:
    """Market data, in order of time.

    Parameters
    ----------
    name, text: of the file, and what stands in it
    target: names of the targets, of VALUES; () or action where they are classes
    classes: whether the target is a class

    Columns are NUMBERS, then feature_0, feature_1 ... Raises ValueError naming example and key of
    what is wrong, where timestamps do not ascend, and where examples have unequal features.
    """
    names = tuple(target) or (("action",) if classes else ())
    if classes and names != ("action",) or not classes and not set(names) <= set(VALUES):
        raise ValueError(
            f"{name}: target must be action where targets are classes, else of "
            f"{', '.join(VALUES)}, not {', '.join(names)!r}"
        )
    if not names:
        raise ValueError(f"{name}: data.target must name one or more of {', '.join(VALUES)}")
    examples = parsed_document(name, text, Market).training_examples
    _check(name, examples)
    inputs = np.array([_row(example.input) for example in examples])
    if classes:
        targets = np.array([ACTIONS.index(example.target.action) for example in examples])
    else:
        targets = np.array([_values(name, i, example, names) for i, example in enumerate(examples)])
    extra = tuple(f"feature_{i}" for i in range(len(examples[0].input.features)))
    return Table(
        inputs=inputs,
        targets=targets,
        columns=(*NUMBERS, *extra),
        classes=ACTIONS if classes else (),
        shape=(inputs.shape[1],),
        weights=np.array([example.weight for example in examples]),
        times=inputs[:, NUMBERS.index("timestamp")],
    )


def _row(quote: Quote) -> list[float]:
    return [*(getattr(quote, name) for name in NUMBERS), *quote.features]


def _values(file: str, index: int, example: Example, names: Sequence[str]) -> list[float]:
    values = []
    for name in names:
        value = getattr(example.target, name)
        if value is None:
            raise ValueError(
                f"{file}, training_examples[{index}].target.{name}: is missing; every example must "
                "have it where it is data.target"
            )
        values.append(value)
    return values


def _check(file: str, examples: Sequence[Example]) -> None:
    features = len(examples[0].input.features)
    last = -np.inf
    for index, example in enumerate(examples):
        place, quote = f"{file}, training_examples[{index}].input", example.input
        if len(quote.features) != features:
            raise ValueError(
                f"{place}.features: must be {features} as in the first example, not "
                f"{len(quote.features)}; give all examples the same"
            )
        if quote.timestamp < last:
            raise ValueError(
                f"{place}.timestamp: must not be before {last:.0f} of the example before it, "
                f"and is {quote.timestamp:.0f}; sort the examples by time"
            )
        last = quote.timestamp
