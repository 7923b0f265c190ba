"""What every configuration file has, whatever it trains, and how a wrong one is explained."""

import difflib
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, Self, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=1 << 32, strict=True)]
Share = Annotated[float, Field(gt=0, lt=1)]


class ConfigError(ValueError):
    """A configuration file cannot be used; the message says why and what would do."""


class Table(BaseModel):
    """A table of the file: unknown keys are errors, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TomlFile(Table):
    """A whole file."""

    def built(self) -> Iterable[tuple[str, Callable[[], object]]]:
        """What its tables make, by the name of the table, to be tried when it is read."""
        return ()

    @classmethod
    def parsed(cls, values: dict[str, Any]) -> Self:
        """The file in these tables; ConfigError where it says what cannot be."""
        _check_keys(values, cls, "")
        return cls.validated(values)

    @classmethod
    def validated(cls, values: dict[str, Any]) -> Self:
        """The same, where all keys are known."""
        try:
            config = cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(_explain(error.errors())) from None
        for name, build in config.built():
            try:
                build()
            except ValueError as error:
                raise ConfigError(f"{name}: {error}") from None
        return config


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file; ConfigError where it is missing, cannot be read, or is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; examples are in examples/*.toml") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def _check_keys(values: dict[str, Any], table: type, path: str) -> None:
    """Raise ConfigError on the first key that no table has, naming the nearest one."""
    known = _keys(table)
    for key, value in values.items():
        place = f"{path}{key}"
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"unknown key {place!r}; {hint}There are: {', '.join(known)}")
        for candidate in (known[key], *get_args(known[key])):
            if isinstance(candidate, type) and _keys(candidate):
                for entry in value if isinstance(value, list) else [value]:
                    if isinstance(entry, dict):
                        _check_keys(entry, candidate, f"{place}.")


def _keys(table: type) -> dict[str, Any]:
    """The keys of a table, a model or a dataclass, with their types; none of anything else."""
    if issubclass(table, BaseModel):
        return {name: field.annotation for name, field in table.model_fields.items()}
    return get_type_hints(table) if is_dataclass(table) else {}


def _explain(errors: list[Any]) -> str:
    """pydantic's errors, one sentence for each place; a place may have several alternatives."""
    sentences: dict[str, str] = {}
    for error in errors:
        place = ".".join(step for step in map(str, error["loc"]) if not _is_alternative(step))
        if error["type"] == "missing":
            sentences[place] = f"{place} is missing"
            continue
        message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if place in sentences:
            tried = sentences[place].rpartition(", not ")[0].removeprefix(place)
            message = f"{tried}, or {message}"
        ending = "" if error["type"] == "value_error" else f", not {error['input']!r}"
        sentences[place] = f"{place} {message.strip()}{ending}"
    return "\n".join(sentences.values())


def _is_alternative(step: str) -> bool:
    """Whether a step of a place only says which alternative of a key's type was tried."""
    return "[" in step or step in ("bool", "float", "str", "constrained-float")
