"""Where the parts of a spiking network lie in a device's memories.

Every region begins with address 0 and is filled part after part:

    WEIGHT          matrices of L x L tiles, as those of dense networks
    INPUT, TARGET   a sample, in each of the two buffers
    STATE           populations, 8 rows of L words for L neurons | vectors | blocks of parameters
    EVENTS          lists: how many, and then the neurons
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from host.device import Device
from host.memory_map import CompileError, Tensor
from hw.config import DeviceConfig, region_words, tile_rows
from hw.isa import INPUT_BUFFERS, MEMORY_REGIONS, Region
from hw.layout import TensorLayout, tiles
from hw.numbers import Format
from hw.spiking import PARAMETER_WORDS, POPULATION_ROWS, Variable

P = TypeVar("P", bound=IntEnum)

Write = tuple[Region, int, NDArray[np.int16]]
"""Words, and where they go."""


@dataclass(frozen=True, kw_only=True)
class Part:
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

    def word_name(self, offset: int) -> str | None:
        """What the word at `offset` is; None where it is nobody's."""
        raise NotImplementedError


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
        everything: tuple[Tensor | Part, ...] = (*self.tensors, *self.parts)
        for one in everything:
            ends[one.region] = max(ends[one.region], one.start + one.words)
        return ends

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


UNITS = {
    Region.WEIGHT: ("tiles", "take fewer neurons, outputs or granule cells"),
    Region.INPUT: ("tiles", "take fewer inputs, or fewer steps of a level encoding"),
    Region.TARGET: ("tiles", "take fewer steps of a level encoding"),
    Region.STATE: ("rows", "take fewer neurons or granule cells"),
    Region.EVENTS: ("words", "take fewer neurons or granule cells"),
}
"""What each region is counted in, and what to do where it is too small."""


class Allocator:
    """Gives out a device's memories; `memory` complains of all overfull ones at once.

    Parameters
    ----------
    config: the device's sizes
    """

    def __init__(self, config: DeviceConfig):
        self.config = config
        self._used = dict.fromkeys(UNITS, 0)
        self._tensors: list[Tensor] = []
        self._parts: list[Part] = []

    def matrix(self, name: str, rows: int, columns: int, fmt: Format) -> Tensor:
        """A matrix of weights."""
        tensor = self._tensor(name, Region.WEIGHT, (rows, columns), self.config.lanes, fmt)
        self._tensors.append(tensor)
        return tensor

    def inputs(self, steps: int, inputs: int, fmt: Format) -> Tensor:
        """INPUT of a sample of so many steps, as it lies in the first buffer."""
        shape = (steps, inputs)
        return self._buffered("input", Region.INPUT, shape, self.config.input_tiles, fmt)

    def label(self, steps: int) -> Tensor:
        """TARGET of a sample of so many steps, each with the class; likewise."""
        fmt, shape = Format(15, 0), (steps, 1)
        return self._buffered("target", Region.TARGET, shape, self.config.target_tiles, fmt)

    def population(self, name: str, neurons: int) -> Population:
        """Records of neurons."""
        rows = tiles(neurons, self.config.lanes) * POPULATION_ROWS
        part = Population(**self._place(name, Region.STATE, rows * self.config.lanes, neurons))
        self._parts.append(part)
        return part

    def vector(self, name: str, cells: int) -> Vector:
        """A word for each cell."""
        rows = tiles(cells, self.config.lanes)
        part = Vector(**self._place(name, Region.STATE, rows * self.config.lanes, cells))
        self._parts.append(part)
        return part

    def block(self, name: str, kind: type[IntEnum]) -> Block:
        """Parameters."""
        rows = tiles(PARAMETER_WORDS, self.config.lanes)
        place = self._place(name, Region.STATE, rows * self.config.lanes, PARAMETER_WORDS)
        part = Block(kind=kind, **place)
        self._parts.append(part)
        return part

    def spikes(self, name: str, most: int) -> SpikeList:
        """A list of at most so many spikes."""
        part = SpikeList(**self._place(name, Region.EVENTS, most + 1, most))
        self._parts.append(part)
        return part

    def other_spikes(self, name: str, *, least: int) -> SpikeList:
        """A list in all that is left of EVENTS, to be called last."""
        left = self.config.event_words - self._used[Region.EVENTS] - 1
        return self.spikes(name, max(least, left))

    def memory(self) -> SpikingMemory:
        """All that was given out; CompileError where a region is too small for it."""
        problems = []
        sizes = region_words(self.config)
        for region, (unit, advice) in UNITS.items():
            buffers = INPUT_BUFFERS if region in (Region.INPUT, Region.TARGET) else 1
            words = self._words_of_a(unit, region)
            needed, there = -(-self._used[region] // words), sizes[region] // buffers // words
            if needed > there:
                problems.append(
                    f"network needs {needed} {unit} of {region.name}, {self.config.name} has "
                    f"{there}: {advice}, or a device with more memory"
                )
        if problems:
            raise CompileError("\n".join(problems))
        return SpikingMemory(tensors=tuple(self._tensors), parts=tuple(self._parts))

    def _words_of_a(self, unit: str, region: Region) -> int:
        if unit == "words":
            return 1
        lanes = self.config.lanes
        return lanes if unit == "rows" else lanes * tile_rows(self.config, region)

    def _tensor(
        self, name: str, region: Region, shape: tuple[int, int], height: int, fmt: Format
    ) -> Tensor:
        lanes = self.config.lanes
        layout = TensorLayout(
            base=self._used[region] // (height * lanes),
            rows=shape[0],
            columns=shape[1],
            tile_rows=height,
            lanes=lanes,
            stride=tiles(shape[1], lanes),
        )
        self._used[region] += layout.tile_count * height * lanes
        return Tensor(name=name, layer=0, region=region, layout=layout, fmt=fmt)

    def _buffered(
        self, name: str, region: Region, shape: tuple[int, int], tile_count: int, fmt: Format
    ) -> Tensor:
        first = self._tensor(name, region, shape, self.config.batch_lanes, fmt)
        self._tensors += [
            replace(
                first,
                name=f"{name} (buffer {buffer})",
                layout=replace(first.layout, base=buffer * tile_count),
            )
            for buffer in range(INPUT_BUFFERS)
        ]
        return first

    def _place(self, name: str, region: Region, words: int, size: int) -> dict[str, Any]:
        start = self._used[region]
        self._used[region] += words
        return {
            "name": name,
            "region": region,
            "start": start,
            "words": words,
            "size": size,
            "lanes": self.config.lanes,
        }
