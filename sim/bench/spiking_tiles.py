"""A bench of a spiking unit that reads rows and columns of tiles, beside what `spiking` plays."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from hw.config import region_tiles, tile_rows
from hw.isa import Instruction, Region
from hw.numbers import WORD_MAX, WORD_MIN
from hw.tile_memory import TileMemory
from sim.bench import spiking
from sim.golden.lfsr import LfsrBank
from sim.golden.spiking import Counted, GoldenSpiking

TILES = (Region.WEIGHT, Region.INPUT, Region.TARGET)


class Bench(spiking.Bench):
    """Plays WEIGHT, INPUT and TARGET too; all memories begin with noise.

    Parameters
    ----------
    dut: the unit
    limit: cycles that no command of the bench takes
    """

    def __init__(self, dut: Any, *, limit: int):
        super().__init__(dut, limit=limit)
        config = self.config
        for region in TILES:
            words = region_tiles(config)[region] * tile_rows(config, region)
            self.images[region] = np.zeros((words, self.lanes), np.int16)
        for image in self.images.values():
            image[:] = self.random.integers(WORD_MIN, WORD_MAX, image.shape, endpoint=True)

    async def start(self) -> None:
        await super().start()
        for name in ("weight_read__data", "target_read__data", "target_base"):
            if self.has(name):
                getattr(self.dut, name).value = 0

    def golden(self, i: Instruction) -> Counted:
        """What the golden model would count, without a change of the memories."""
        images = {region: image.copy() for region, image in self.images.items()}
        loader: Any = SimpleNamespace(front=self.front)
        random = LfsrBank(self.randomness.state)
        return GoldenSpiking(self.config, images, loader, random).command(i, 0)

    async def launch(self, i: Instruction, step: int = 0) -> None:
        if self.has("target_base"):
            self.dut.target_base.value = self.front * self.config.target_tiles
        await super().launch(i, step)

    async def cycle(self, spikes: list[int]) -> None:
        for region in (Region.WEIGHT, Region.TARGET):
            port = f"{region.name.lower()}_read"
            read: Callable[[], spiking.Words] = partial(self.tile_words, region)
            self.play(port, TileMemory.READ_LATENCY, read)
        await super().cycle(spikes)

    def input_row(self) -> spiking.Words:
        return self.tile_words(Region.INPUT)

    def tile_words(self, region: Region) -> spiking.Words:
        """The row or column that the unit reads; what a column has fewer of than lanes is noise."""
        tile, index, column = (
            int(getattr(self.dut, f"{region.name.lower()}_read__{member}").value)
            for member in ("tile", "index", "column")
        )
        rows, lane = tile_rows(self.config, region), np.arange(self.lanes)
        words = self.images[region][tile * rows :][:rows]
        if not column:
            return words[index, (lane + index) % self.lanes]
        found = self.random.integers(WORD_MIN, WORD_MAX, self.lanes).astype(np.int16)
        found[:rows] = words[lane[:rows], (lane[:rows] + index) % self.lanes]
        return found

    async def interrupt(self, i: Instruction, after: int) -> None:
        """Run a command for so many cycles, fewer than it takes."""
        images = {region: image.copy() for region, image in self.images.items()}
        await self.launch(i)
        for _ in range(after - 1):
            assert self.dut.command__done.value == 0
            await self.cycle([])
        for region, image in images.items():
            self.images[region][:] = image

