"""A training run as a TOML file: read, checked key by key, and explained where it is wrong."""

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from host.data import SOURCES
from host.layers import ACTIVATIONS, LOSSES, Dense
from host.network import MAX_STEPS, Formats, Neuron
from host.rules import SGD
from host.schedule import Constant, Piecewise, Schedule, StepDecay
from hw.config import CONFIGURATIONS, DeviceConfig, configuration
from hw.numbers import Format

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=1 << 32, strict=True)]


class ConfigError(ValueError):
    """A configuration file cannot be used; the message says why and what would do."""


class _Table(BaseModel):
    """A table of the file: unknown keys are errors, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_SHAPE = (("features", ("generated",)), ("classes", ("generated",)))


class DataTable(_Table):
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


class LayerTable(_Table):
    """An entry of layers."""

    units: Count
    activation: Literal["linear", "relu", "leaky_relu", "sigmoid", "tanh", "lif"] = "linear"
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS, strict=True)] = Neuron.steps
    leak_shift: Annotated[int, Field(ge=0, le=15, strict=True)] = Neuron.leak_shift
    threshold: Positive = Neuron.threshold

    @model_validator(mode="after")
    def _spikes(self) -> "LayerTable":
        for key in ("steps", "leak_shift", "threshold"):
            if key in self.model_fields_set and self.activation != "lif":
                raise ValueError(
                    f"{key} must be left out, as it belongs to the activation 'lif', "
                    f"not {self.activation!r}"
                )
        return self

    def dense(self) -> Dense:
        """The layer."""
        neuron = None
        if self.activation == "lif":
            neuron = Neuron(
                steps=self.steps, leak_shift=self.leak_shift, threshold=self.threshold
            )
        return Dense(self.units, self.activation, neuron)


class NetworkTable(_Table):
    """[network]."""

    layers: Annotated[list[LayerTable], Field(min_length=1)]
    loss: Literal["cross_entropy", "mse"] = "cross_entropy"
    targets: Literal["classes", "values"] = "classes"
    leak_shift: Annotated[int, Field(ge=1, le=15, strict=True)] = 3

    def dense(self) -> list[Dense]:
        """The layers."""
        return [layer.dense() for layer in self.layers]


assert get_args(LayerTable.model_fields["activation"].annotation) == tuple(ACTIVATIONS)
assert get_args(NetworkTable.model_fields["loss"].annotation) == tuple(LOSSES)


class FormatsTable(_Table):
    """[formats]: binary points as Qm.n; what is left out has the network's default."""

    inputs: str | None = None
    activations: str | None = None
    currents: str | None = None
    outputs: str | None = None
    weights: str | None = None
    deltas: str | None = None
    momentum: str | None = None

    def formats(self) -> Formats:
        """The formats; ValueError on one that is not written as Qm.n."""
        names = {
            "input": self.inputs,
            "activation": self.activations,
            "current": self.currents,
            "output": self.outputs,
            "weight": self.weights,
            "delta": self.deltas,
            "momentum": self.momentum,
        }
        given = {name: Format.parse(text) for name, text in names.items() if text is not None}
        return Formats(**given)


class ScheduleTable(_Table):
    """[training.schedule]: constant, step (decay, every) or piecewise (until, factors)."""

    kind: Literal["constant", "step", "piecewise"] = "constant"
    decay: float = StepDecay.decay
    every: int = StepDecay.every
    until: tuple[float, ...] = Piecewise.until
    factors: tuple[float, ...] = Piecewise.factors

    def schedule(self) -> Schedule:
        """The schedule; ValueError on values that make none."""
        if self.kind == "step":
            return StepDecay(self.decay, self.every)
        if self.kind == "piecewise":
            return Piecewise(self.until, self.factors)
        return Constant()


class TrainingTable(_Table):
    """[training]."""

    learning_rate: Positive = SGD.learning_rate
    momentum: Annotated[float, Field(ge=0, lt=1)] = SGD.momentum
    l2: bool | Annotated[float, Field(ge=0, allow_inf_nan=False)] = False
    batch_size: Count = 32
    epochs: Count = 20
    seed: Seed = 0
    schedule: ScheduleTable = ScheduleTable()

    def optimizer(self) -> SGD:
        """The rule and its schedule."""
        schedule = self.schedule.schedule()
        return SGD(self.learning_rate, self.momentum, self.l2, schedule)


class DeviceTable(_Table):
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


class RunConfig(_Table):
    """The whole file."""

    data: DataTable
    network: NetworkTable
    formats: FormatsTable = FormatsTable()
    training: TrainingTable = TrainingTable()
    device: DeviceTable = DeviceTable()

    def with_options(
        self,
        *,
        seed: int | None = None,
        epochs: int | None = None,
        configuration: str | None = None,
    ) -> "RunConfig":
        """The same run with another seed (of data too), epochs or configuration, where given."""
        values = self.model_dump(exclude_unset=True)
        if seed is not None:
            values.setdefault("training", {})["seed"] = seed
            values["data"].pop("seed", None)
        if epochs is not None:
            values.setdefault("training", {})["epochs"] = epochs
        if configuration is not None:
            values.setdefault("device", {})["configuration"] = configuration
        return _validated(values)


def read_config(path: Path) -> RunConfig:
    """Read a TOML file; ConfigError where it is missing, is no TOML, or says what cannot be."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; examples are in examples/*.toml") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    try:
        config = parse_config(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    file = config.data.file
    if file is not None and not file.is_absolute():
        data = config.data.model_copy(update={"file": path.parent / file})
        return config.model_copy(update={"data": data})
    return config


def parse_config(values: dict[str, Any]) -> RunConfig:
    """The configuration in the tables of a TOML file; errors as of `read_config`."""
    _check_keys(values, RunConfig, "")
    return _validated(values)


def _validated(values: dict[str, Any]) -> RunConfig:
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error.errors())) from None
    for name, build in (
        ("formats", config.formats.formats),
        ("training.schedule", config.training.schedule.schedule),
        ("training", config.training.optimizer),
    ):
        try:
            build()
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from None
    return config


def _check_keys(values: dict[str, Any], table: type[BaseModel], path: str) -> None:
    """Raise ConfigError on the first key that no table has, naming the nearest one."""
    for key, value in values.items():
        place = f"{path}{key}"
        if key not in table.model_fields:
            near = difflib.get_close_matches(key, table.model_fields, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            names = ", ".join(table.model_fields)
            raise ConfigError(f"unknown key {place!r}; {hint}There are: {names}")
        inner = table.model_fields[key].annotation
        for candidate in (inner, *get_args(inner)):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                for entry in value if isinstance(value, list) else [value]:
                    if isinstance(entry, dict):
                        _check_keys(entry, candidate, f"{place}.")


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
