"""CSV: a sample a line, commas between, UTF-8; the first line may name the columns."""

import csv
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from host.data.table import CHUNK_VALUES, Reals, Targets, numbered

MAX_LINE = 1 << 24
"""Bytes of the longest line: a file without ends of lines is not to fill the memory."""

Row = tuple[int, list[str]]
"""Number of the line on which it ends, and its fields."""


class CsvFile:
    """A reader of a CSV file; see `host.data.table.Reader`.

    Parameters
    ----------
    path: of the file
    inputs: names of the columns that are inputs; () for all but the targets
    target: names of the columns that are targets; () for the last one
    classes: whether the target is a class, which may be a name

    The first line names the columns where none of it is a number, or where a name of `inputs` or
    `target` stands in it; without names, columns are called '0', '1' ... Raises ValueError, here
    and while it is read, naming line and column of what is wrong.
    """

    def __init__(
        self, path: Path, *, inputs: Sequence[str] = (), target: Sequence[str] = (), classes: bool
    ) -> None:
        self._path, self._classes = path, classes
        # Whether a line was seen in which float() may take for a number what is none of a CSV.
        self._strange = False
        first = next(self._rows(), None)
        if first is None:
            raise ValueError(f"{path} must have at least one sample, not none")
        _, cells = first
        self._width = len(cells)
        asked = {name for name in (*inputs, *target) if _number(name) is None}
        self._named = bool(asked & set(cells)) or all(_number(cell) is None for cell in cells)
        names = self._names(cells) if self._named else numbered(self._width)
        self._check_width(cells)
        targets = self._places(names, target, "target") or [self._width - 1]
        chosen = self._places(names, inputs, "inputs")
        self._inputs = chosen or [i for i in range(self._width) if i not in targets]
        self._targets = targets
        if classes and len(targets) > 1:
            raise ValueError(
                f"{path}: target must be one column where targets are classes, not {len(targets)}; "
                "set targets = 'values' in [network], or name one"
            )
        both = sorted(set(self._inputs) & set(targets))
        if both:
            raise ValueError(
                f"{path}: a column must be an input or a target, and {names[both[0]]!r} is both"
            )
        self._all = names
        self.columns = tuple(names[place] for place in self._inputs)
        self.shape: tuple[int, ...] = (len(self._inputs),)
        self.tested, self.in_pieces = 0, True

    @property
    def file_bytes(self) -> int:
        """See `Reader`."""
        return self._path.stat().st_size

    @property
    def size(self) -> int:
        """See `Reader`; by the lengths of the first lines."""
        taken, rows = 0, 0
        with self._path.open("rb") as file:
            for line in iter(partial(file.readline, MAX_LINE), b""):
                taken, rows = taken + len(line), rows + 1
                if taken > MAX_LINE // 16:
                    break
        return 8 * len(self._inputs) * rows * self.file_bytes // max(1, taken)

    def chunks(self) -> Iterator[tuple[Reals, Targets, int]]:
        """See `Reader`."""
        for rows, done in self._batches():
            yield self._reals(rows, self._inputs), self._some_targets(rows), done

    def targets(self) -> Iterator[tuple[Targets, int]]:
        """See `Reader`."""
        for rows, done in self._batches():
            yield self._some_targets(rows), done

    def _some_targets(self, rows: list[Row]) -> Targets:
        if self._classes:
            (place,) = self._targets
            for line, cells in rows:
                if not cells[place]:
                    raise self._wrong(line, place, "a class", "none")
            return np.array([cells[place] for _, cells in rows])
        values = self._reals(rows, self._targets)
        return values[:, 0] if len(self._targets) == 1 else values

    def _batches(self) -> Iterator[tuple[list[Row], int]]:
        """Rows of samples, many at a time, and the bytes of the file that were read for them."""
        progress = [0]
        rows: list[Row] = []
        many = max(1, CHUNK_VALUES // self._width)
        for row in self._samples(progress):
            rows.append(row)
            if len(rows) == many:
                yield rows, progress[0]
                rows = []
        if rows:
            yield rows, progress[0]

    def _samples(self, progress: list[int]) -> Iterator[Row]:
        rows = self._rows(progress)
        if self._named and next(rows, None) is None:
            return
        empty = 0
        for line, cells in rows:
            if not cells:
                empty = empty or line
                continue
            if empty or len(cells) != self._width:
                wrong, count = (empty, 0) if empty else (line, len(cells))
                raise ValueError(
                    f"{self._path}, line {wrong}: every line must have {self._width} fields as the "
                    f"first one has, not {count}; complete it or take it out"
                )
            yield line, cells

    def _rows(self, progress: list[int] | None = None) -> Iterator[Row]:
        with self._path.open("rb") as file:
            reader = csv.reader(self._lines(file, progress or [0]), strict=True)
            while True:
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    raise ValueError(
                        f"{self._path}, line {reader.line_num}: is no CSV: {error}; put quotes "
                        "around a field that has commas, and double those within"
                    ) from None
                yield reader.line_num, cells

    def _lines(self, file: Any, progress: list[int]) -> Iterator[str]:
        for number, raw in enumerate(iter(partial(file.readline, MAX_LINE), b""), start=1):
            progress[0] += len(raw)
            if len(raw) == MAX_LINE:
                raise ValueError(
                    f"{self._path}, line {number}: a line must be shorter than {MAX_LINE:,} bytes; "
                    "end every sample with a new line"
                )
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{self._path}, line {number}: must be UTF-8, and byte {error.start + 1} of "
                    f"the line is {raw[error.start]:#04x}; convert the file, as with iconv"
                ) from None
            self._strange |= number > 1 and ("_" in line or not line.isascii())
            yield line

    def _names(self, cells: list[str]) -> tuple[str, ...]:
        for place, name in enumerate(cells):
            if not name.strip() or name in cells[:place]:
                what = "has no name" if not name.strip() else f"is {name!r} again"
                raise ValueError(
                    f"{self._path}, line 1: every column must have a name of its own, and column "
                    f"{place} {what}; name it, or leave the names out altogether"
                )
        return tuple(cells)

    def _check_width(self, cells: list[str]) -> None:
        if self._width >= 2:
            return
        other = next((mark for mark in ";\t|" if cells and mark in cells[0]), "")
        hint = f"; its fields are parted by {other!r}, where commas must stand" if other else ""
        raise ValueError(f"{self._path} must have columns of inputs and then one of targets{hint}")

    def _places(self, names: Sequence[str], wanted: Sequence[str], key: str) -> list[int]:
        for name in wanted:
            if name not in names:
                shown = ", ".join(names[:20]) + ", ..." * (len(names) > 20)
                raise ValueError(f"{self._path}: {key} must be of {shown}, not {name!r}")
        return [names.index(name) for name in wanted]

    def _reals(self, rows: list[Row], places: list[int]) -> Reals:
        pick: Callable[[list[str]], Sequence[str]] = itemgetter(*places)
        if len(places) == 1:
            pick = itemgetter(slice(places[0], places[0] + 1))
        if self._strange and any(
            _number(cell) is None for _, cells in rows for cell in pick(cells)
        ):
            raise self._refusal(rows, places)
        cells = chain.from_iterable(pick(cells) for _, cells in rows)
        try:
            flat = np.fromiter(map(float, cells), np.float64, len(rows) * len(places))
        except ValueError:
            raise self._refusal(rows, places) from None
        if not np.isfinite(flat).all():
            raise self._refusal(rows, places)
        return flat.reshape(len(rows), len(places))

    def _refusal(self, rows: list[Row], places: list[int]) -> ValueError:
        for line, cells in rows:
            for place in places:
                value = _number(cells[place])
                if value is None:
                    return self._wrong(line, place, "a number", repr(cells[place][:40]))
                if not np.isfinite(value):
                    return self._wrong(line, place, "finite", cells[place][:40])
        raise AssertionError("float() and this search see the same cells")

    def _wrong(self, line: int, place: int, expected: str, found: str) -> ValueError:
        name = f" ({self._all[place]})" if self._named else ""
        return ValueError(
            f"{self._path}, line {line}, column {place}{name}: must be {expected}, not {found}; "
            "put a value there, take the line out, or leave the column out of inputs"
        )


def _number(cell: str) -> float | None:
    """A number as CSV writes it: not 1_000, and no digits of other scripts."""
    if "_" in cell or not cell.isascii():
        return None
    try:
        return float(cell)
    except ValueError:
        return None
