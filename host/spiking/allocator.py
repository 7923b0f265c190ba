"""Gives the parts of a spiking network their places in a device's memories."""

from dataclasses import replace
from enum import IntEnum
from typing import Any

from host.memory_map import CompileError, Tensor
from host.spiking.memory import Block, Part, Population, SpikeList, SpikingMemory, Vector
from hw.config import DeviceConfig, region_words, tile_rows
from hw.isa import INPUT_BUFFERS, Region
from hw.layout import TensorLayout, tiles
from hw.numbers import Format
from hw.spiking import PARAMETER_WORDS, POPULATION_ROWS

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
