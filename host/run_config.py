"""A training run as a TOML file: read, checked key by key, and explained where it is wrong.

A file with a [network] table trains a dense network, one with [spiking] a spiking network.
"""

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from host.config_tables import (
    ConfigError,
    Count,
    Positive,
    RunTables,
    ScheduleTable,
    Seed,
    Table,
)
from host.layers import ACTIVATIONS, LOSSES, Dense
from host.network import MAX_STEPS, Formats, Neuron
from host.rules import SGD
from host.spiking.tables import SpikingRunConfig
from hw.numbers import Format

__all__ = ["ConfigError", "RunConfig", "SpikingRunConfig", "parse_config", "read_config"]


class LayerTable(Table):
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


class NetworkTable(Table):
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


class FormatsTable(Table):
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


class TrainingTable(Table):
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


class RunConfig(RunTables):
    """The whole file of a dense network."""

    network: NetworkTable
    formats: FormatsTable = FormatsTable()
    training: TrainingTable = TrainingTable()

    def built(self) -> Iterable[tuple[str, Callable[[], object]]]:
        """See `RunTables.built`."""
        return (
            ("formats", self.formats.formats),
            ("training.schedule", self.training.schedule.schedule),
            ("training", self.training.optimizer),
        )


def read_config(path: Path) -> RunConfig | SpikingRunConfig:
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
    return config.model_copy(update={"data": config.data.beside(path.parent)})


def parse_config(values: dict[str, Any]) -> RunConfig | SpikingRunConfig:
    """The configuration in the tables of a TOML file; errors as of `read_config`."""
    if "spiking" not in values:
        return RunConfig.parsed(values)
    if "network" in values:
        raise ConfigError("a file must have either [network] or [spiking], not both")
    return SpikingRunConfig.parsed(values)
