"""What a search varies: a TOML file that names a run, and for keys of it where they may lie.

    run = "digits.toml"
    [space]
    "training.learning_rate" = { low = 0.004, high = 0.25, log = true }
    "training.batch_size" = [16, 32, 64]
    "network.layers.0.units" = { low = 16, high = 64, step = 8 }

A key is the path of a value in the run's file, a list's entries counted from 0.
"""

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import Field, model_validator

from host.config_tables import ConfigError, Count, Seed, Table, TomlFile, read_toml
from host.run_config import RunConfig, SpikingRunConfig, read_config
from host.training.tables import VALIDATION

Choice = bool | int | float | str
Number = int | float
Values = Mapping[str, Any]
"""A value for each key of a space."""

MAX_GRID = 1000


class Range(Table):
    """From low to high, both of them included; whole numbers where all three numbers are.

    `log` draws from the range of the logarithm, `step` from low, low + step, ...
    """

    low: Number
    high: Number
    log: bool = False
    step: Number | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Range":
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"low must be below high, both finite, not {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log must be left out where low is not above 0 or a step is given")
        if self.step is not None and not 0 < self.step < math.inf:
            raise ValueError(f"step must be above 0 and finite, not {self.step}")
        return self

    def distribution(self) -> BaseDistribution:
        """As Optuna draws from it."""
        step = self.step
        if all(isinstance(n, int) for n in (self.low, self.high, step or 1)):
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(step or 1))
        return FloatDistribution(float(self.low), float(self.high), log=self.log, step=step)

    def grid(self, name: str) -> list[Number]:
        """Its values; ConfigError where there is no step and these are no whole numbers."""
        distribution = self.distribution()
        whole = isinstance(distribution, IntDistribution)
        if self.log or (self.step is None and not whole):
            raise ConfigError(
                f"space.{name} must be a list or have a step where method is 'grid', as a grid has "
                "a finite number of values"
            )
        step = self.step or 1
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        return [self.low + k * step for k in range(count)]


class SearchFile(TomlFile):
    """The whole file: the run, the space, how it is searched, and what is best."""

    run: Path
    space: Annotated[
        dict[str, Annotated[list[Choice], Field(min_length=1)] | Range], Field(min_length=1)
    ]
    method: Literal["tpe", "random", "grid"] = "tpe"
    trials: Count = 100
    seed: Seed = 0
    monitor: Literal["val_accuracy", "val_loss"] = "val_accuracy"
    pruning: bool = True

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Whether the monitor is to be as large or as small as can be, in Optuna's words."""
        return "maximize" if self.monitor == "val_accuracy" else "minimize"

    @cached_property
    def base(self) -> RunConfig | SpikingRunConfig:
        """The run, with samples to validate and with each table in which a value is varied.

        Raises ConfigError where the run does not have the monitor, and where it cannot have such a
        table.
        """
        config = read_config(self.run)
        if isinstance(config, SpikingRunConfig) and self.monitor != "val_accuracy":
            raise ConfigError(
                f"monitor must be 'val_accuracy' where {self.run} trains a spiking network, which "
                f"has no loss, not {self.monitor!r}"
            )
        tables = config.model_dump(exclude_unset=True)
        tables.setdefault("training", {}).setdefault("validation", VALIDATION)
        for key in self.space:
            _table(tables, key)
        return type(config).parsed(tables)

    def distributions(self) -> dict[str, BaseDistribution]:
        """By key, as Optuna draws from them."""
        return {
            key: CategoricalDistribution(where) if isinstance(where, list) else where.distribution()
            for key, where in self.space.items()
        }

    def grid(self) -> dict[str, list[Any]]:
        """All values of each key; ConfigError where they are not finitely many, or too many."""
        values = {k: w if isinstance(w, list) else w.grid(k) for k, w in self.space.items()}
        size = math.prod(len(each) for each in values.values())
        if size > MAX_GRID:
            raise ConfigError(f"a grid must have at most {MAX_GRID:,} points, not {size:,}")
        return values

    def config(self, values: Values) -> RunConfig | SpikingRunConfig:
        """The run with these values; ConfigError where they are no values of their keys."""
        tables = self.base.model_dump(exclude_unset=True)
        for key, value in values.items():
            _put(tables, key, value)
        return type(self.base).parsed(tables)

    def own_values(self) -> dict[str, Any]:
        """What the run's file has for each key, defaults included."""
        return {key: _get(self.base, key) for key in self.space}


def read_search(path: Path) -> SearchFile:
    """Read a file; ConfigError where it is missing, is no TOML, or says what cannot be."""
    tables = read_toml(path)
    try:
        search = SearchFile.parsed(tables)
        search = search.model_copy(update={"run": path.parent / search.run})
        if search.method == "grid":
            search.grid()
        for values in _corners(search):
            search.config(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return search


def _corners(search: SearchFile) -> list[dict[str, Any]]:
    """Values that a file must accept one by one: the ends of ranges, every entry of a list."""
    ends = {k: w if isinstance(w, list) else [w.low, w.high] for k, w in search.space.items()}
    return [{key: value} for key, each in ends.items() for value in each]


def _steps(key: str) -> list[str | int]:
    return [int(step) if step.isdecimal() else step for step in key.split(".")]


def _get(config: Any, key: str) -> Any:
    """The value of a key that is known to be there."""
    for step in _steps(key):
        config = config[step] if isinstance(step, int) else getattr(config, step)
    return config


def _put(tables: Any, key: str, value: Any) -> None:
    """Set a value in tables, making those on its way that are not there yet."""
    _table(tables, key)[key.rpartition(".")[2]] = value


def _table(tables: Any, key: str) -> dict[str, Any]:
    """The table of a key, made with those on its way where they are not there yet."""
    *way, last = _steps(key)
    for step in way:
        if isinstance(step, int):
            if not isinstance(tables, list) or step >= len(tables):
                raise ConfigError(f"space.{key} names an entry {step} that the run does not have")
            tables = tables[step]
        elif isinstance(tables, dict):
            tables = tables.setdefault(step, {})
    if not isinstance(tables, dict) or isinstance(last, int):
        raise ConfigError(f"space.{key} must name a key of a table, such as training.learning_rate")
    return tables
