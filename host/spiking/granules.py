"""A layer of granule cells on the device: EXPAND, its table, and how that is drawn.

    INPUT --EXPAND: sums of a few inputs, each +x or -x, against thresholds--> list of active cells
                                                                            --> their activity
"""

import numpy as np
from numpy.typing import NDArray

from host.memory_map import CompileError
from host.spiking.allocator import Allocator
from host.spiking.network import Granules, SpikingNetwork
from hw.isa import Instruction, Opcode
from hw.layout import tiles
from hw.numbers import WORD_MAX, WORD_MIN, Format

GRANULE_SEED = 3000
"""Added to a run's seed for the connections of granule cells."""


class GranuleLayer:
    """The granule cells of a network.

    Parameters
    ----------
    network: with its granules
    place: what gives out the device's memories

    Attributes
    ----------
    table: connections and thresholds, in WEIGHT
    active: the list of active cells
    activity: of all cells, ACTIVE or 0
    """

    def __init__(self, network: SpikingNetwork, place: Allocator):
        assert network.granules is not None
        self._granules, config = network.granules, place.config
        self.inputs = network.inputs
        if not config.expansion_inputs:
            raise CompileError(
                f"network needs granule cells, which {config.name} leaves out: take another rule, "
                "or a device that has them"
            )
        if network.inputs > config.expansion_inputs:
            raise CompileError(
                f"network needs {network.inputs} inputs of granule cells, {config.name} has "
                f"{config.expansion_inputs}: take fewer features"
            )
        if network.granules.fan_in > network.inputs:
            raise CompileError(
                f"fan_in must be at most the {network.inputs} inputs, not {network.granules.fan_in}"
            )
        self._input = place.inputs(1, network.inputs, network.formats.input)
        place.label(1)
        self._lanes = config.lanes
        height = tiles(network.granules.cells, config.lanes) * (network.granules.fan_in + 1)
        self.table = place.matrix("granule table", height, config.lanes, Format(15, 0))
        self.active = place.spikes("active granule cells", network.granules.cells)
        self.activity = place.vector("granule cells", network.granules.cells)

    def expand(self) -> Instruction:
        """Which cells the sample activates."""
        return Instruction(
            opcode=Opcode.EXPAND,
            rows=self._granules.cells,
            depth=self._granules.fan_in,
            columns=self.inputs,
            left_base=self._input.layout.base,
            left_inner=self._input.layout.stride,
            dest_base=self.activity.row,
            dest_inner=self.table.layout.base,
            gate=self.active.start,
        )

    def draw(self, samples: NDArray[np.int16], seed: int) -> NDArray[np.int16]:
        """The table for training samples (N, inputs), words of the device.

        Connections and signs come from default_rng(3000 + seed): each cell draws `fan_in` different
        inputs, cell after cell, and then all signs.
        """
        granules = self._granules
        rng = np.random.default_rng(GRANULE_SEED + seed)
        drawn = np.array(
            [rng.choice(self.inputs, granules.fan_in, replace=False) for _ in range(granules.cells)]
        )
        negative = rng.integers(0, 2, drawn.shape)
        found = thresholds(samples, drawn, negative, granules)
        count = tiles(granules.cells, self._lanes)
        table = np.zeros((count * self._lanes, granules.fan_in + 1), np.int64)
        table[: granules.cells, :-1] = 2 * drawn + negative
        table[: granules.cells, -1] = found
        by_tile = table.reshape(count, self._lanes, -1).transpose(0, 2, 1)
        return by_tile.reshape(-1, self._lanes).astype(np.int16)


def thresholds(
    samples: NDArray[np.int16],
    drawn: NDArray[np.int64],
    negative: NDArray[np.int64],
    granules: Granules,
) -> NDArray[np.int64]:
    """The largest thresholds that at least a share `sparsity` of the samples reaches, by cell.

    A threshold that is no word is brought to the nearest one.
    """
    words = samples.astype(np.int64)
    active = int(np.ceil(granules.sparsity * len(words)))
    found = np.empty(len(drawn), np.int64)
    for cell, (inputs, signs) in enumerate(zip(drawn, 1 - 2 * negative, strict=True)):
        sums = words[:, inputs] @ signs
        found[cell] = np.partition(sums, len(sums) - active)[len(sums) - active]
    return np.clip(found, WORD_MIN, WORD_MAX)
