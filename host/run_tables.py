"""What every run's file has, whatever it trains."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from host.checkpoints.cadence import Cadence
from host.config_tables import Count, Positive, Table, TomlFile
from host.data.tables import DataTable
from hw.config import DeviceConfig
from hw.configurations import CONFIGURATIONS, configuration


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
