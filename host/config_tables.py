"""What every configuration file has, whatever it trains, and how a wrong one is explained."""

import difflib
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_type_hints

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from host import data
from host.batch_schedule import Cyclic, OneCycle, WarmupCosine
from host.checkpoints.cadence import Cadence
from host.data import SOURCES
from host.monitor import Mode, Monitor
from host.plateau import ReduceOnPlateau
from host.schedule import Constant, Cosine, Exponential, Piecewise, Schedule, StepDecay
from host.stopping import EarlyStopping
from hw.config import CONFIGURATIONS, DeviceConfig, configuration

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=1 << 32, strict=True)]
Share = Annotated[float, Field(gt=0, lt=1)]

VALIDATION = 0.2
"""Share of the training samples where something is steered by validation and no share is given."""


class ConfigError(ValueError):
    """A configuration file cannot be used; the message says why and what would do."""


class Table(BaseModel):
    """A table of the file: unknown keys are errors, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_SHAPE = (("features", ("generated",)), ("classes", ("generated",)))


class DataTable(Table):
    """[data]: a named source or a file, .npz with arrays x and y or .csv with y at the end."""

    name: str | None = None
    file: Path | None = None
    seed: Seed | None = None
    test_size: Annotated[float, Field(gt=0, lt=1)] = 0.2
    scaling: Literal["z-score", "none"] | Positive = "none"
    samples: Count = 1000
    features: Count = 16
    classes: Annotated[int, Field(ge=2, strict=True)] = 4
    questions: list[list[float]] = []

    @model_validator(mode="after")
    def _one_source(self) -> "DataTable":
        names = [*SOURCES, "generated"]
        if (self.name is None) == (self.file is None):
            raise ValueError(f"must have either a file or a name, one of {', '.join(names)}")
        if self.name is not None and self.name not in names:
            raise ValueError(f"name must be one of {', '.join(names)}, not {self.name!r}")
        for key, sources in (("samples", ("sums", "generated")), *_SHAPE):
            if key in self.model_fields_set and self.name not in sources:
                raise ValueError(f"{key} must be left out, as {self.name or self.file} has its own")
        return self

    @property
    def source(self) -> str:
        """Where the samples come from, for a reader."""
        return self.name or str(self.file)

    def read(self, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Inputs and targets of all samples; ValueError where a file is none of samples."""
        if self.file is not None:
            return data.read_file(self.file)
        match self.name:
            case "generated":
                return data.generated(
                    seed, samples=self.samples, features=self.features, classes=self.classes
                )
            case "sums":
                return data.sums(seed, self.samples)
            case name:
                return data.SOURCES[str(name)](seed)


SCHEDULES: dict[str, type[Schedule] | type[ReduceOnPlateau]] = {
    "constant": Constant,
    "step": StepDecay,
    "piecewise": Piecewise,
    "exponential": Exponential,
    "cosine": Cosine,
    "warmup_cosine": WarmupCosine,
    "cyclic": Cyclic,
    "one_cycle": OneCycle,
    "plateau": ReduceOnPlateau,
}
"""The kinds of a schedule; the fields of each are its keys."""


class ScheduleTable(Table):
    """[training.schedule]: a kind and its keys, each of which has a default."""

    kind: Literal[
        "constant",
        "step",
        "piecewise",
        "exponential",
        "cosine",
        "warmup_cosine",
        "cyclic",
        "one_cycle",
        "plateau",
    ] = "constant"
    decay: float | None = None
    every: int | None = None
    until: tuple[float, ...] | None = None
    factors: tuple[float, ...] | None = None
    least: float | None = None
    warmup: float | None = None
    start: float | None = None
    rise: int | None = None
    fall: int | None = None
    patience: int | None = None
    threshold: float | None = None
    cooldown: int | None = None
    monitor: Monitor | None = None
    mode: Mode | None = None

    @model_validator(mode="after")
    def _own_keys(self) -> "ScheduleTable":
        for key in self.model_fields_set - {"kind", *self.keys_of(self.kind)}:
            kinds = [repr(kind) for kind in SCHEDULES if key in self.keys_of(kind)]
            raise ValueError(
                f"{key} must be left out, as it belongs to the kinds {', '.join(kinds)}, "
                f"not {self.kind!r}"
            )
        return self

    @staticmethod
    def keys_of(kind: str) -> list[str]:
        """The keys of a kind."""
        return [field.name for field in fields(SCHEDULES[kind])]  # type: ignore[arg-type]

    def schedule(self) -> Schedule | ReduceOnPlateau:
        """The schedule; ValueError on values that make none."""
        return SCHEDULES[self.kind](**self.model_dump(exclude_unset=True, exclude={"kind"}))


assert get_args(ScheduleTable.model_fields["kind"].annotation) == tuple(SCHEDULES)


class StoppingTable(Table):
    """[training.early_stopping]; what is watched is by default what the kind of run says."""

    patience: int = EarlyStopping.patience
    min_delta: float = EarlyStopping.min_delta
    monitor: Monitor | None = None
    mode: Mode = EarlyStopping.mode

    def stopping(self, monitor: Monitor = EarlyStopping.monitor) -> EarlyStopping:
        """What it says, `monitor` where it names none; ValueError on values that say nothing."""
        return EarlyStopping(self.patience, self.min_delta, self.monitor or monitor, self.mode)


class DeviceTable(Table):
    """[device]."""

    configuration: str = "ecp5-8x8"

    @model_validator(mode="after")
    def _known(self) -> "DeviceTable":
        if self.configuration not in CONFIGURATIONS:
            raise ValueError(
                f"configuration must be one of {', '.join(CONFIGURATIONS)}, "
                f"not {self.configuration!r}"
            )
        return self

    def config(self) -> DeviceConfig:
        """The configuration."""
        return configuration(self.configuration)


class CheckpointTable(Table):
    """[checkpoints]: after every `every` epochs, `seconds` and better epoch; at most `keep`."""

    every: Count = Cadence.every
    seconds: Positive = Cadence.seconds
    keep: Annotated[int, Field(ge=2, strict=True)] = Cadence.keep

    def cadence(self) -> Cadence:
        """When checkpoints are written, and how many are kept."""
        return Cadence(every=self.every, seconds=self.seconds, keep=self.keep)


class MonitoringTable(Table):
    """[monitoring]: a line of metrics every so many batches, plots every so many epochs."""

    batches: Count = 10
    plots: Count = 50
    tensorboard: bool = False


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


class RunTables(TomlFile):
    """The file of a run; a kind of run adds its own tables."""

    data: DataTable
    device: DeviceTable = DeviceTable()
    checkpoints: CheckpointTable = CheckpointTable()
    monitoring: MonitoringTable = MonitoringTable()

    def with_options(
        self,
        *,
        seed: int | None = None,
        epochs: int | None = None,
        configuration: str | None = None,
    ) -> Self:
        """The same run with another seed (of data too), epochs or configuration, where given."""
        values = self.model_dump(exclude_unset=True)
        if seed is not None:
            values.setdefault("training", {})["seed"] = seed
            values["data"].pop("seed", None)
        if epochs is not None:
            values.setdefault("training", {})["epochs"] = epochs
        if configuration is not None:
            values.setdefault("device", {})["configuration"] = configuration
        return self.validated(values)


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
    return "[" in step or step in ("bool", "float", "constrained-float")
