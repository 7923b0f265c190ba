"""How strongly each neuron responds to samples, read from a device.

Where every sample has the same number of winners, these are in a list, for as many samples in a run
as there is room for. Elsewhere a run is a sample, and the neurons' counts are read.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from host.devices.device import Device
from host.spiking.memory import Population, SpikeList
from hw.spiking import Variable


class Responses(Protocol):
    """What a trainer does around a run of Phase.RESPOND.

    Attributes
    ----------
    most: samples of a run
    """

    most: int

    def begin(self, device: Device) -> None:
        """Make the device ready for a run."""

    def read(self, device: Device, samples: int) -> NDArray[np.int64]:
        """Spikes of each neuron, (samples, neurons), after it."""


class ListedWinners:
    """Winners in a list, `each` of them for every sample.

    Raises ValueError, when read, where there are others than so many.
    """

    def __init__(self, spikes: SpikeList, *, each: int, neurons: int):
        self._list, self._each, self._neurons = spikes, each, neurons
        self.most = spikes.size // each

    def begin(self, device: Device) -> None:
        """See `Responses.begin`."""
        device.write(self._list.region, self._list.start, 0)

    def read(self, device: Device, samples: int) -> NDArray[np.int64]:
        """See `Responses.read`."""
        winners = self._list.read(device).reshape(samples, self._each)
        found = np.zeros((samples, self._neurons), np.int64)
        np.add.at(found, (np.arange(samples)[:, None], winners), 1)
        return found


class SpikeCounts:
    """The counts of a population."""

    most = 1

    def __init__(self, population: Population):
        self._population = population

    def begin(self, device: Device) -> None:
        """See `Responses.begin`."""

    def read(self, device: Device, samples: int) -> NDArray[np.int64]:
        """See `Responses.read`."""
        return self._population.read(device, Variable.COUNT)[None].astype(np.int64)
