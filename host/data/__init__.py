"""Data sets: where they come from, how they are split and scaled.

    name or file --read--> Table --preprocess, split, scale--> Dataset --encode--> rows of bytes
"""

from host.data.files import Choice, open_reader, read_file, read_table
from host.data.scaling import Clipping, Scaling
from host.data.sources import SHAPES, SOURCES, generated, sums, synthetic_market
from host.data.splitting import Dataset, Recipe, prepare, prepare_table
from host.data.table import Table

__all__ = [
    "SHAPES",
    "SOURCES",
    "Choice",
    "Clipping",
    "Dataset",
    "Recipe",
    "Scaling",
    "Table",
    "generated",
    "open_reader",
    "prepare",
    "prepare_table",
    "read_file",
    "read_table",
    "sums",
    "synthetic_market",
]
