"""Where the element of a matrix lies in a skewed tile memory.

A tile holds R x L words over L banks, R words deep (R = L for weights, R = B for samples):

    element (r, c)  ->  bank (r + c) mod L, word r

so that a row (all c of one r) and a column (all r of one c) both touch every bank at most once.
A tile memory's image is an array of shape (words, L): image[word, bank]. The host addresses it
in the same order: address = word * L + bank.

A weight matrix of `rows` x `columns` is a grid of L x L tiles, row of tiles after row of tiles.
A tensor of N samples by F features is a grid of B x L tiles (rows: samples, columns: features),
one batch tile after the other, `stride` tiles apart.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def tiles(length: int, size: int) -> int:
    """How many tiles of `size` cover `length`."""
    return -(-length // size)


@dataclass(frozen=True, kw_only=True)
class TensorLayout:
    """A matrix in a tile memory.

    Parameters
    ----------
    base: index of the first tile
    rows, columns: shape of the matrix
    tile_rows: rows of a tile (L for weights, B for samples)
    lanes: L, columns of a tile and number of banks
    stride: tiles from one row of tiles to the next, at least ceil(columns / lanes)
    """

    base: int
    rows: int
    columns: int
    tile_rows: int
    lanes: int
    stride: int

    @property
    def tile_count(self) -> int:
        """Tiles from the base to the end of the last row of tiles."""
        return tiles(self.rows, self.tile_rows) * self.stride

    def addresses(self) -> NDArray[np.int64]:
        """Flat index (word * lanes + bank) of every element, shape (rows, columns)."""
        r = np.arange(self.rows)[:, None]
        c = np.arange(self.columns)[None, :]
        tile = self.base + (r // self.tile_rows) * self.stride + c // self.lanes
        row, column = r % self.tile_rows, c % self.lanes
        return (tile * self.tile_rows + row) * self.lanes + (row + column) % self.lanes

    def gather(self, image: NDArray[np.int16]) -> NDArray[np.int16]:
        """The matrix, read from the memory's image."""
        return image.reshape(-1)[self.addresses()]

    def scatter(self, image: NDArray[np.int16], matrix: NDArray[np.int16]) -> None:
        """Write the matrix into the memory's image, which must be contiguous."""
        image.reshape(-1)[self.addresses()] = matrix
