"""[data]: where a run's samples come from and what is made of them."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from numpy.typing import NDArray
from pydantic import Field, model_validator

from host import data
from host.config_tables import Count, Positive, Seed, Table
from host.data import SOURCES, Choice
from host.data.augmentation import Augmentation
from host.data.market_file import market_table
from host.data.preprocessing import Preprocessing
from host.data.splitting import Split, Weights
from host.data.storing import store
from host.spiking.network import Encoding
from hw.numbers import Format

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
