"""What every configuration file has, whatever it trains, and how a wrong one is explained."""

import difflib
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args, get_type_hints

from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from host import data
from host.checkpoints.cadence import Cadence
from host.data import SOURCES, Choice
from host.data.augmentation import Augmentation
from host.data.market_file import market_table
from host.data.preprocessing import Preprocessing
from host.data.splitting import Split, Weights
from host.data.storing import store
from host.spiking.network import Encoding
from host.training.batch_schedule import Cyclic, OneCycle, WarmupCosine
from host.training.monitor import Mode, Monitor
from host.training.plateau import ReduceOnPlateau
from host.training.schedule import Constant, Cosine, Exponential, Piecewise, Schedule, StepDecay
from host.training.stopping import EarlyStopping
from hw.config import CONFIGURATIONS, DeviceConfig, configuration
from hw.numbers import Format

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


MADE = ("sums", "generated", "synthetic_market")
"""Sources that are made, in as many samples as wanted."""

_OWN = (
    ("samples", MADE),
    ("features", ("generated",)),
    ("classes", ("generated",)),
)
"""Keys that only these sources have."""

_OF_FILES = ("inputs", "labels", "test_file", "test_labels", "layer")
"""Keys that only files have."""

MEBIBYTE = 1 << 20

Names = str | list[str]
"""One, or a list."""


class DataTable(Table):
    """[data]: a named source or a file, and what is made of it; docs/data.md has every key."""

    name: str | None = None
    file: Path | None = None
    labels: Path | None = None
    test_file: Path | None = None
    test_labels: Path | None = None
    inputs: Names = []
    target: Names = []
    layer: str | None = None
    seed: Seed | None = None
    test_size: Annotated[float, Field(gt=0, lt=1)] = 0.2
    split: Split | None = None
    scaling: Literal["z-score", "min-max", "none"] | Positive = "none"
    clip: bool = False
    one_hot: bool = False
    weights: Weights | None = None
    memory: Positive = 512
    samples: Count = 1000
    features: Count = 16
    classes: Annotated[int, Field(ge=2, strict=True)] = 4
    questions: list[list[float]] = []
    preprocessing: Preprocessing | None = None
    augmentation: Augmentation | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "DataTable":
        names = [*SOURCES, *MADE[1:]]
        if (self.name is None) == (self.file is None):
            raise ValueError(f"must have either a file or a name, one of {', '.join(names)}")
        if self.name is not None and self.name not in names:
            raise ValueError(f"name must be one of {', '.join(names)}, not {self.name!r}")
        for key, sources in _OWN:
            if key in self.model_fields_set and self.name not in sources:
                raise ValueError(f"{key} must be left out, as {self.name or self.file} has its own")
        for key in _OF_FILES:
            if key in self.model_fields_set and self.file is None:
                raise ValueError(f"{key} must be left out, as {self.name} is no file")
        for key in ("test_size", "split"):
            if self.test_file is not None and key in self.model_fields_set:
                raise ValueError(f"{key} must be left out, as test_file is what is tested")
        if self.preprocessing is not None:
            self._check_steps(self.preprocessing)
        return self

    def _check_steps(self, steps: Preprocessing) -> None:
        if "scaling" in self.model_fields_set:
            raise ValueError("scaling must be left out, as it is a step of the preprocessing")
        if self.questions:
            raise ValueError("questions must be left out where there is preprocessing")
        if steps.in_time and self.split == "random":
            raise ValueError("split must be 'order' where features look at the samples before")

    @property
    def source(self) -> str:
        """Where the samples come from, for a reader."""
        return self.name or str(self.file)

    @property
    def bound(self) -> int:
        """Bytes of inputs, as float64, that are held in memory."""
        return int(self.memory * MEBIBYTE)

    def beside(self, folder: Path) -> "DataTable":
        """The same, with the names of files as seen from a folder."""
        keys = ("file", "labels", "test_file", "test_labels")
        paths = {key: getattr(self, key) for key in keys}
        return self.model_copy(
            update={key: folder / path for key, path in paths.items() if path is not None}
        )

    def choice(self, *, classes: bool) -> Choice:
        """What the file is asked for."""
        return Choice(
            classes=classes or self.one_hot,
            inputs=_names(self.inputs),
            target=_names(self.target),
            labels=self.labels,
            test_file=self.test_file,
            test_labels=self.test_labels,
            layer=self.layer,
            limit=self.bound,
        )

    def table(self, seed: int, *, classes: bool, encoding: Encoding | None = None) -> data.Table:
        """All samples; ValueError where a file is none of samples."""
        choice = self.choice(classes=classes)
        if self.file is not None:
            return data.read_table(self.file, choice, encoding)
        if self.name == "synthetic_market":
            text = data.synthetic_market(seed, self.samples).encode()
            return market_table(self.name, text, choice.target, classes=choice.classes)
        inputs, targets = self._named(seed)
        return data.Table(
            inputs=inputs, targets=targets, shape=data.SHAPES.get(str(self.name), ())
        )

    def _named(self, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
        match self.name:
            case "generated":
                return data.generated(
                    seed, samples=self.samples, features=self.features, classes=self.classes
                )
            case "sums":
                return data.sums(seed, self.samples)
            case name:
                return data.SOURCES[str(name)](seed)

    def recipe(
        self, seed: int, *, classes: bool, limits: tuple[float, float], in_time: bool
    ) -> data.Recipe:
        """What is made of the samples; `in_time` tells whether they have times."""
        steps = self.preprocessing
        ordered = in_time or (steps is not None and steps.in_time)
        return data.Recipe(
            classes=classes,
            seed=seed,
            scaling=self.scaling,
            test_size=self.test_size,
            split=self.split or ("order" if ordered else "random"),
            limits=limits if self.clip else None,
            one_hot=self.one_hot,
            weights=self.weights,
            preprocessing=steps,
        )

    def images(self, dataset: data.Dataset) -> Augmentation | None:
        """The augmentation for these samples; ValueError where it needs others."""
        what = self.augmentation
        if what is None or not (what.moves or what.mixes):
            return None
        uniform = self.preprocessing is None and self.scaling not in ("z-score", "min-max")
        return replace(what, shape=what.of_shape(dataset.shape, uniform=uniform))

    def dataset(
        self,
        seed: int,
        *,
        classes: bool,
        limits: tuple[float, float],
        encoding: Encoding | None = None,
        fmt: Format | None = None,
    ) -> data.Dataset:
        """The samples, split and scaled; ValueError says what cannot be.

        Parameters
        ----------
        seed: of what is made, and of the split
        classes: whether targets are classes
        limits: of what the network's inputs can be, for `clip`
        encoding: of spike trains
        fmt: of inputs that can be stored as words, where they are larger than `memory`
        """
        reader = None
        if self.file is not None:
            reader = data.open_reader(self.file, self.choice(classes=classes))
        if reader is not None and reader.size > self.bound:
            if fmt is None or self.preprocessing is not None:
                what = "spiking networks" if fmt is None else "steps of [data.preprocessing]"
                raise ValueError(
                    f"{self.file} must take at most data.memory = {self.memory:g} MiB, not some "
                    f"{reader.size / MEBIBYTE:.0f}, as {what} need it as a whole: raise memory, "
                    "or give fewer samples"
                )
            recipe = self.recipe(seed, classes=classes, limits=limits, in_time=False)
            return store(reader, recipe, fmt, str(self.file))
        found = self.table(seed, classes=classes, encoding=encoding)
        recipe = self.recipe(
            seed, classes=classes, limits=limits, in_time=found.times is not None
        )
        return data.prepare_table(found, recipe)


def _names(given: Names) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


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
    return "[" in step or step in ("bool", "float", "str", "constrained-float")
