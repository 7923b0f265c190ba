"""Where the parts of a spiking network lie in a device's memories.

Every region begins with address 0 and is filled part after part:

    WEIGHT          matrices of L x L tiles, as those of dense networks
    INPUT, TARGET   a sample, in each of the two buffers
    STATE           populations, 8 rows of L words for L neurons | vectors | blocks of parameters
    EVENTS          lists: how many, and then the neurons
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from host.devices.device import Device
from host.memory_map import Tensor
from hw.isa import MEMORY_REGIONS, Region
from hw.spiking import POPULATION_ROWS, Variable

P = TypeVar("P", bound=IntEnum)

Write = tuple[Region, int, NDArray[np.int16]]
"""Words, and where they go."""


@dataclass(frozen=True, kw_only=True)
class Part(ABC):
    """A stretch of a region, of `words` words from `start` on; `size` is what it is made for."""

    name: str
    region: Region
    start: int
    words: int
    size: int
    lanes: int

    @property
    def row(self) -> int:
        """The first row of STATE."""
        return self.start // self.lanes

    @abstractmethod
    def word_name(self, offset: int) -> str | None:
        """What the word at `offset` is; None where it is nobody's."""


class Population(Part):
    """Records of `size` neurons."""

    def word_name(self, offset: int) -> str | None:
        """Such as 'trace of neuron 5 of the inputs'."""
        row, lane = divmod(offset, self.lanes)
        tile, variable = divmod(row, POPULATION_ROWS)
        neuron = tile * self.lanes + lane
        if neuron >= self.size:
            return None
        return f"{Variable(variable).name.lower()} of neuron {neuron} of the {self.name}"

    def read(self, device: Device, variable: Variable) -> NDArray[np.int16]:
        """A variable of all neurons."""
        words = device.read(self.region, self.start, self.words).view(np.int16)
        return words.reshape(-1, POPULATION_ROWS, self.lanes)[:, variable].reshape(-1)[: self.size]


class Vector(Part):
    """A word each of `size` cells."""

    def word_name(self, offset: int) -> str | None:
        """Such as 'cell 7 of the granules'."""
        return f"cell {offset} of the {self.name}" if offset < self.size else None


class SpikeList(Part):
    """A list of at most `size` spikes."""

    def word_name(self, offset: int) -> str | None:
        """Such as 'spike 3 in the list of the winners'."""
        what = f"spike {offset - 1} in" if offset else "number of spikes in"
        return f"{what} the list of the {self.name}"

    def read(self, device: Device) -> NDArray[np.uint16]:
        """The neurons in the list."""
        count = int(device.read(self.region, self.start, 1)[0])
        return device.read(self.region, self.start + 1, count)


@dataclass(frozen=True, kw_only=True)
class Block(Part):
    """Parameters of a command, the members of `kind`."""

    kind: type[IntEnum]

    def word_name(self, offset: int) -> str | None:
        """Such as 'leak of the parameters of firing'."""
        if offset >= len(self.kind):
            return None
        return f"{self.kind(offset).name.lower()} of the parameters of {self.name}"

    def write(self, values: Mapping[P, int]) -> Write:
        """The block with these values, 0 elsewhere; they fit a word."""
        words = np.zeros(self.words, np.int16)
        for parameter, value in values.items():
            assert isinstance(parameter, self.kind)
            words[parameter] = value
        return self.region, self.start, words


@dataclass(frozen=True, kw_only=True)
class SpikingMemory:
    """The parts of a network on a device: tensors, and stretches of STATE and EVENTS."""

    tensors: tuple[Tensor, ...]
    parts: tuple[Part, ...]

    def extents(self) -> dict[Region, int]:
        """Words of each memory from address 0 to the last that is used."""
        ends = dict.fromkeys(MEMORY_REGIONS, 0)
        for region, start, words in self.stretches():
            ends[region] = max(ends[region], start + words)
        return ends

    def stretches(self) -> list[tuple[Region, int, int]]:
        """Region, first word and number of words of everything."""
        everything: tuple[Tensor | Part, ...] = (*self.tensors, *self.parts)
        return [(one.region, one.start, one.words) for one in everything]

    def locate(self, region: Region, address: int) -> str:
        """What a word of the device is, such as 'trace of neuron 5 of the inputs'."""
        for tensor in self.tensors:
            element = tensor.element(address) if tensor.region == region else None
            if element:
                return f"{tensor}, row {element[0]}, column {element[1]}"
        for part in self.parts:
            if part.region == region and part.start <= address < part.start + part.words:
                name = part.word_name(address - part.start)
                if name:
                    return name
        return f"{region.name} word {address}, which nothing uses"
