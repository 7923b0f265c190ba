"""Two files of one kind, of which the second one is the test."""

from collections.abc import Iterator

from host.data.table import Reader, Reals, Targets


class JoinedFile:
    """A reader of the samples of `first`, then of those of `second`; see `host.data.table.Reader`.

    Raises ValueError where their samples are not alike.
    """

    def __init__(self, first: Reader, second: Reader, names: tuple[str, str]) -> None:
        if first.shape != second.shape or first.columns != second.columns:
            shapes = [" x ".join(map(str, each.shape)) for each in (first, second)]
            raise ValueError(
                f"{names[1]} must have samples as {names[0]} has, of {shapes[0]} values with the "
                f"same names, and has {shapes[1]}"
            )
        self._first, self._second = first, second
        self.columns, self.shape = first.columns, first.shape
        self.tested, self.in_pieces = 0, first.in_pieces and second.in_pieces

    @property
    def size(self) -> int:
        """See `Reader`."""
        return self._first.size + self._second.size

    @property
    def file_bytes(self) -> int:
        """See `Reader`."""
        return self._first.file_bytes + self._second.file_bytes

    def chunks(self) -> Iterator[tuple[Reals, Targets, int]]:
        """See `Reader`."""
        yield from self._first.chunks()
        tested = 0
        for inputs, targets, done in self._second.chunks():
            tested += len(inputs)
            yield inputs, targets, self._first.file_bytes + done
        self.tested = tested

    def targets(self) -> Iterator[tuple[Targets, int]]:
        """See `Reader`."""
        yield from self._first.targets()
        tested = 0
        for targets, done in self._second.targets():
            tested += len(targets)
            yield targets, self._first.file_bytes + done
        self.tested = tested
