"""Files of samples, each kind by its name's ending."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.data.csv_file import CsvFile
from host.data.idx_file import idx_file
from host.data.joined_file import JoinedFile
from host.data.json_file import kind_of, read_document
from host.data.market_file import market_table
from host.data.npy_file import npy_file, npz_file
from host.data.spike_file import read_spike_folder
from host.data.table import Reader, Reals, Table, read_whole
from host.spiking.network import Encoding

IDX_ENDINGS = ("ubyte", "idx", "ubyte.gz", "idx.gz")
"""Of names such as train-images-idx3-ubyte.gz, or data.idx."""

KINDS = (
    ".csv, .npz, .npy, .json (market data), -ubyte or .idx (also .gz), or be a folder of spike "
    "trains"
)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a file is asked for.

    Parameters
    ----------
    classes: whether targets are classes
    inputs, target: names of columns of a CSV file, of arrays in an NPZ file (one each), of values
        of a market; () for the usual ones
    labels: file of the targets of an NPY or IDX file
    test_file, test_labels: files of the samples to test; without them, some of the others are
    layer: of spike trains
    limit: bytes of what is read as a whole
    """

    classes: bool
    inputs: Sequence[str] = ()
    target: Sequence[str] = ()
    labels: Path | None = None
    test_file: Path | None = None
    test_labels: Path | None = None
    layer: str | None = None
    limit: int = 1 << 29


def open_reader(path: Path, choice: Choice) -> Reader | None:
    """What reads a file piece by piece; None where it can only be read as a whole.

    Raises ValueError where there is no such file, or it is none of samples.
    """
    first = _open_one(path, choice)
    if choice.test_file is None:
        return first
    second = _open_one(choice.test_file, replace(choice, labels=choice.test_labels))
    if first is None or second is None:
        raise ValueError(f"data.test_file must be left out, as {path.name} has its own test")
    return JoinedFile(first, second, (str(path), str(choice.test_file)))


def _open_one(path: Path, choice: Choice) -> Reader | None:
    if not path.exists():
        raise ValueError(f"{path} does not exist; data.file must name a file, from where TOML lies")
    _check_choice(path, choice)
    if path.is_dir() or path.suffix == ".json":
        return None
    if path.suffix == ".csv":
        return CsvFile(path, inputs=choice.inputs, target=choice.target, classes=choice.classes)
    if path.suffix == ".npz":
        (inputs,), (target,) = choice.inputs or ("x",), choice.target or ("y",)
        return npz_file(path, inputs, target)
    if path.suffix == ".npy":
        return npy_file(path, choice.labels)
    if path.name.endswith(IDX_ENDINGS):
        return idx_file(path, choice.labels)
    raise ValueError(f"a data file must end in {KINDS}, not {path.name}")


def read_table(path: Path, choice: Choice, encoding: Encoding | None = None) -> Table:
    """All samples of a file or a folder; ValueError says what is wrong, and where."""
    reader = open_reader(path, choice)
    if reader is not None:
        return read_whole(reader, str(path))
    if path.is_dir():
        return read_spike_folder(path, encoding, layer=choice.layer, limit=choice.limit)
    if kind_of(path) == "spike_trains":
        raise ValueError(
            f"{path} is one sample of spike trains: data.file must be a folder with a folder of "
            "such files for each class"
        )
    text = read_document(path, limit=choice.limit)
    return market_table(str(path), text, choice.target, classes=choice.classes)


def read_file(path: Path, *, classes: bool = False, **choice: Any) -> tuple[Reals, NDArray[Any]]:
    """Inputs (N, F) and targets of a file as arrays, for `Sequential.fit` and whatever else.

    Keywords are those of Choice. Raises ValueError as `read_table`.
    """
    table = read_table(Path(path), Choice(classes=classes, **choice))
    return np.asarray(table.inputs), table.targets


def _check_choice(path: Path, choice: Choice) -> None:
    """Refuse what a kind of file has no use for."""
    named = path.suffix in (".csv", ".npz")
    uses = {
        "inputs": named,
        "target": named or path.suffix == ".json",
        "labels": path.suffix == ".npy" or path.name.endswith(IDX_ENDINGS),
        "layer": path.is_dir(),
    }
    for key, used in uses.items():
        if getattr(choice, key) and not used:
            raise ValueError(f"data.{key} must be left out, as {path.name} has none")
    if path.suffix == ".npz" and max(len(choice.inputs), len(choice.target)) > 1:
        raise ValueError(f"{path}: data.inputs and data.target must name one array each")
