"""[training.schedule] and [training.early_stopping]."""

from dataclasses import fields
from typing import Literal, get_args

from pydantic import model_validator

from host.config_tables import Table
from host.training.batch_schedule import Cyclic, OneCycle, WarmupCosine
from host.training.monitor import Mode, Monitor
from host.training.plateau import ReduceOnPlateau
from host.training.schedule import Constant, Cosine, Exponential, Piecewise, Schedule, StepDecay
from host.training.stopping import EarlyStopping

VALIDATION = 0.2
"""Share of the training samples that validate where there must be some and no share is given."""


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
