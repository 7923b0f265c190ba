"""A training run as a TOML file: read, checked key by key, and explained where it is wrong.

A file with a [network] table trains a dense network, one with [spiking] a spiking network.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from host.config_tables import ConfigError, Count, Positive, Seed, Share, Table, read_toml
from host.layers import ACTIVATIONS, LOSSES, Dense
from host.network import MAX_STEPS, Formats, Neuron
from host.plan import steered_by
from host.run_tables import RunTables
from host.spiking.tables import SpikingRunConfig
from host.training.initialisation import INITS
from host.training.rules import SGD
from host.training.stopping import EarlyStopping
from host.training.tables import VALIDATION, ScheduleTable, StoppingTable
from hw.numbers import Format

__all__ = ["ConfigError", "RunConfig", "SpikingRunConfig", "parse_config", "read_config"]


Init = Literal["he", "he_uniform", "xavier", "xavier_uniform", "orthogonal", "normal", "zeros"]
assert get_args(Init) == tuple(INITS)


class LayerTable(Table):
    """An entry of layers."""

    units: Count
    activation: Literal["linear", "relu", "leaky_relu", "sigmoid", "tanh", "lif"] = "linear"
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS, strict=True)] = Neuron.steps
    leak_shift: Annotated[int, Field(ge=0, le=15, strict=True)] = Neuron.leak_shift
    threshold: Positive = Neuron.threshold
    init: Init | None = None
    frozen: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

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
        return Dense(
            self.units, self.activation, neuron, self.init, self.frozen, dropout=self.dropout
        )


class NetworkTable(Table):
    """[network]."""

    layers: Annotated[list[LayerTable], Field(min_length=1)]
    loss: Literal["cross_entropy", "mse"] = "cross_entropy"
    targets: Literal["classes", "values"] = "classes"
    leak_shift: Annotated[int, Field(ge=1, le=15, strict=True)] = 3
    init: Init = "he"
    weights: Path | None = None

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
    accumulate_batches: Count = SGD.accumulate_batches
    clip_norm: Positive | None = None
    epochs: Count = 20
    seed: Seed = 0
    schedule: ScheduleTable = ScheduleTable()
    validation: Share | None = None
    early_stopping: StoppingTable | None = None

    def optimizer(self) -> SGD:
        """The rule and its schedule."""
        schedule = self.schedule.schedule()
        return SGD(
            self.learning_rate,
            self.momentum,
            self.l2,
            schedule,
            self.accumulate_batches,
            self.clip_norm,
        )

    def stopping(self) -> EarlyStopping | None:
        """When training ends before its epochs do."""
        return None if self.early_stopping is None else self.early_stopping.stopping()

    def validation_share(self) -> float | None:
        """Of the training samples; None where none are to be set aside."""
        if self.validation is not None:
            return self.validation
        watched = steered_by(self.optimizer(), self.stopping())
        return VALIDATION if any(each.validates for each in watched) else None


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
            ("training.early_stopping", self.training.stopping),
            ("training", self.training.optimizer),
        )


def read_config(path: Path) -> RunConfig | SpikingRunConfig:
    """Read a TOML file; ConfigError where it is missing, is no TOML, or says what cannot be."""
    tables = read_toml(path)
    try:
        config = parse_config(tables)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    config = config.model_copy(update={"data": config.data.beside(path.parent)})
    if isinstance(config, RunConfig) and config.network.weights is not None:
        weights = path.parent / config.network.weights
        network = config.network.model_copy(update={"weights": weights})
        config = config.model_copy(update={"network": network})
    return config


def parse_config(values: dict[str, Any]) -> RunConfig | SpikingRunConfig:
    """The configuration in the tables of a TOML file; errors as of `read_config`."""
    if "spiking" not in values:
        return RunConfig.parsed(values)
    if "network" in values:
        raise ConfigError("a file must have either [network] or [spiking], not both")
    return SpikingRunConfig.parsed(values)
