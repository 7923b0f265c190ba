"""JSON documents against a schema: what is wrong is named by its place in the document."""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

M = TypeVar("M", bound="Document")

KINDS = ("training_examples", "spike_trains")
"""The key that a document has, by which its kind is known."""


class Document(BaseModel):
    """An object of a document: unknown keys, other types, NaN and infinity are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def read_document(path: Path, *, limit: int) -> bytes:
    """A file of at most `limit` bytes; ValueError where it has more."""
    size = path.stat().st_size
    if size > limit:
        raise ValueError(
            f"{path} must have at most {limit:,} bytes, not {size:,}, as JSON is read as a whole: "
            "raise data.memory, or convert it to CSV or NPZ"
        )
    return path.read_bytes()


def parsed_document(name: str, text: bytes, kind: type[M]) -> M:
    """The document in a text; ValueError names what is wrong and where."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        raise ValueError(_explain(name, error)) from None


def kind_of(path: Path) -> str:
    """Which of KINDS a JSON file is, by its first key."""
    with path.open("rb") as file:
        opening = file.read(4096).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if opening.startswith("{"):
        try:
            key, _ = json.JSONDecoder().raw_decode(opening[1:].lstrip())
        except (ValueError, RecursionError):
            key = None
        if key in KINDS:
            return str(key)
    raise ValueError(
        f"{path} must be a JSON object whose first key is {' or '.join(map(repr, KINDS))}: market "
        "data or spike trains"
    )


def _explain(name: str, error: ValidationError) -> str:
    """The first errors, with their places such as training_examples[3].input.price."""
    lines = []
    found: list[Any] = list(error.errors(include_url=False))
    for each in found[:3]:
        place = "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}" for step in each["loc"]
        ).removeprefix(".")
        got = ""
        if each["type"] not in ("missing", "json_invalid", "extra_forbidden"):
            got = f", not {str(each['input'])[:40]!r}"
        where = f"{name}, {place}" if place else name
        lines.append(f"{where}: {each['msg']}{got}")
    more = f"; {len(found) - 3} more errors" if len(found) > 3 else ""
    return "; ".join(lines) + more + "; correct the file, docs/data.md shows its form"
