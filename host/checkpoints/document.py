"""Nested values with arrays in them, as JSON and a flat table of arrays, and back.

    {"a": [1, array]} <--> {"a": [1, {"array": "a.1"}]}, {"a.1": array}
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

ARRAY = "array"
"""The only key of what stands in the place of an array."""


@dataclass(frozen=True)
class Plain:
    """A value that is as JSON has it already."""

    value: Any


def split(value: Any, arrays: dict[str, NDArray[Any]] | None, place: str = "") -> Any:
    """`value` as JSON has it; its arrays go into `arrays` by their places, or become lists.

    Dataclasses become tables of their fields, members of an Enum their values. Raises TypeError on
    what JSON does not have.
    """
    if isinstance(value, Plain):
        return value.value
    if isinstance(value, np.ndarray):
        if arrays is None:
            return value.tolist()
        arrays[place] = np.ascontiguousarray(value)
        return {ARRAY: place}
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"keys of {place or 'a document'} must be texts, not {list(value)}")
        return {key: split(each, arrays, _below(place, key)) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [split(each, arrays, _below(place, k)) for k, each in enumerate(value)]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{place} must be numbers, texts, lists, tables or arrays, not {type(value)}")


def _below(place: str, key: object) -> str:
    return f"{place}.{key}" if place else str(key)


def join(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """The value that `split` took apart: tables, lists, numbers, texts and arrays."""
    if isinstance(value, dict):
        if set(value) == {ARRAY}:
            return arrays[value[ARRAY]]
        return {key: join(each, arrays) for key, each in value.items()}
    if isinstance(value, list):
        return [join(each, arrays) for each in value]
    return value


def build(kind: Any, value: Any) -> Any:
    """A value of type `kind` from JSON: dataclasses, members of an Enum and arrays again."""
    if get_origin(kind) is np.ndarray:
        return np.array(value, get_args(get_args(kind)[1])[0])
    alternatives = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    for own in alternatives:
        if isinstance(own, type) and value is not None:
            if is_dataclass(own):
                hints = get_type_hints(own)
                return own(**{name: build(hints[name], each) for name, each in value.items()})
            if issubclass(own, Enum):
                return own(value)
    return value
