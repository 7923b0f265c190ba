"""Where a network's matrices lie in a device's memories.

Every region begins with tile 0 and is filled layer after layer:

    WEIGHT, MOMENTUM   W_1 | ... | W_m      ceil(n_l / L) x ceil((n_{l-1} + 1) / L) tiles
    GRADIENT           as WEIGHT, two words for each
    INPUT, TARGET      in each of the two buffers
    ACTIVATION         y_1 | ... | y_{m-1}  ceil(N / B) batch tiles, ceil((n_l + 1) / L) apart
                       s_l ...              slopes of the layers that spike, as far apart
    OUTPUT             y_m                  ... ceil(n_m / L) apart
    DELTA              d_1 | ... | d_m      as ACTIVATION and OUTPUT

The column after the last feature of INPUT and ACTIVATION holds the constant 1.0 that the bias
multiplies. A layer that spikes has its currents where its activity comes to lie.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from host.devices.device import Device
from host.network import CURVED, Network
from hw.config import DeviceConfig, region_words
from hw.configurations import CONFIGURATIONS
from hw.isa import INPUT_BUFFERS, MEMORY_REGIONS, Loss, Region
from hw.layout import TensorLayout, tiles
from hw.numbers import Format

SLOPE = Format(0, 15)
"""Of slopes, which are never negative."""


class CompileError(ValueError):
    """A network or rule does not fit the device."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A matrix of words in a region of the device.

    Parameters
    ----------
    name: such as 'weight'
    layer: 1 to m, or 0 for inputs and targets
    region: its memory
    layout: where its elements lie
    fmt: binary point
    """

    name: str
    layer: int
    region: Region
    layout: TensorLayout
    fmt: Format

    def __str__(self) -> str:
        return f"{self.name} of layer {self.layer}" if self.layer else self.name

    @property
    def start(self) -> int:
        """Word address of the first tile."""
        return self.layout.base * self._tile_words

    @property
    def words(self) -> int:
        """Words from the first tile to the end of the last."""
        return self.layout.tile_count * self._tile_words

    @property
    def _tile_words(self) -> int:
        return self.layout.tile_rows * self.layout.lanes

    def read(self, device: Device) -> NDArray[np.int16]:
        """The matrix in the device."""
        image = device.read(self.region, self.start, self.words).view(np.int16)
        return self._relative.gather(image)

    def matrix(self, image: NDArray[np.int16]) -> NDArray[np.int16]:
        """The matrix in the words of the region from address 0 on."""
        return self.layout.gather(image)

    def write(self, device: Device, matrix: NDArray[np.int16]) -> None:
        """Write the matrix, and 0 into the rest of its tiles."""
        device.write(self.region, self.start, self.image(matrix))

    def image(self, matrix: NDArray[np.int16]) -> NDArray[np.int16]:
        """The tensor's tiles with the matrix, 0 elsewhere."""
        expected = (self.layout.rows, self.layout.columns)
        if matrix.shape != expected:
            raise ValueError(f"{self} must be of shape {expected}, not {matrix.shape}")
        image = np.zeros(self.words, np.int16)
        self._relative.scatter(image, matrix)
        return image

    def element(self, address: int) -> tuple[int, int] | None:
        """Row and column of a word address of the region, None where the matrix has none."""
        lanes, tile_rows = self.layout.lanes, self.layout.tile_rows
        word, bank = divmod(address, lanes)
        tile, row = divmod(word, tile_rows)
        block, across = divmod(tile - self.layout.base, self.layout.stride)
        place = block * tile_rows + row, across * lanes + (bank - row) % lanes
        inside = 0 <= place[0] < self.layout.rows and place[1] < self.layout.columns
        return place if inside else None

    @property
    def _relative(self) -> TensorLayout:
        return replace(self.layout, base=0)


@dataclass(frozen=True)
class Sums:
    """The accumulated gradients of a weight matrix: for each weight a sum of 32 bits.

    Parameters
    ----------
    weight: the matrix
    """

    weight: Tensor

    region: ClassVar[Region] = Region.GRADIENT

    def __str__(self) -> str:
        return f"gradient sum of layer {self.weight.layer}"

    @property
    def start(self) -> int:
        """Word address of the first sum."""
        return 2 * self.weight.start

    @property
    def words(self) -> int:
        """Words of all sums."""
        return 2 * self.weight.words

    def element(self, address: int) -> tuple[int, int] | None:
        """Row and column of a word address of the region, None where the matrix has none."""
        return self.weight.element(address // 2)

    def read(self, device: Device) -> NDArray[np.int32]:
        """The sums in the device, shape of the weights."""
        image = np.zeros(self.weight.start + self.weight.words, np.int32)
        image[self.weight.start :] = device.read(self.region, self.start, self.words).view("<i4")
        return image[self.weight.layout.addresses()]


@dataclass(frozen=True, kw_only=True)
class MemoryMap:
    """The tensors of a network on a device.

    Parameters
    ----------
    weights, momentum: by layer; momentum is empty where the device or the rule has none
    sums: by layer; empty where no gradients are accumulated
    inputs, targets: by buffer
    activations: of hidden layers
    slopes: of those that spike, by layer
    output: of the last layer
    deltas: by layer
    """

    weights: tuple[Tensor, ...]
    momentum: tuple[Tensor, ...]
    sums: tuple[Sums, ...]
    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    activations: tuple[Tensor, ...]
    slopes: Mapping[int, Tensor]
    output: Tensor
    deltas: tuple[Tensor, ...]

    def __iter__(self) -> Iterator[Tensor | Sums]:
        groups = (self.weights, self.momentum, self.inputs, self.targets, self.activations)
        for group in (*groups, self.slopes.values(), (self.output,), self.deltas):
            yield from group
        yield from self.sums

    def extents(self) -> dict[Region, int]:
        """Words of each tile memory from address 0 to the last that a tensor uses."""
        ends = dict.fromkeys(MEMORY_REGIONS, 0)
        for tensor in self:
            ends[tensor.region] = max(ends[tensor.region], tensor.start + tensor.words)
        return ends

    def locate(self, region: Region, address: int) -> str:
        """What a word of the device is, such as 'weight of layer 2, row 3, column 5'."""
        for tensor in self:
            element = tensor.element(address) if tensor.region == region else None
            if element:
                return f"{tensor}, row {element[0]}, column {element[1]}"
        return f"{region.name} word {address}, which no tensor uses"

    def ones(self) -> list[tuple[Region, int, NDArray[np.int16]]]:
        """(region, address, words) that write the constant 1.0 beside inputs and activations.

        They overwrite the tiles in which it lies, which the network fills before it reads them.
        """
        return [write for t in (*self.inputs, *self.activations) for write in _ones(t)]


def _ones(tensor: Tensor) -> list[tuple[Region, int, NDArray[np.int16]]]:
    layout = tensor.layout
    column = layout.columns - 1
    tile_words = layout.tile_rows * layout.lanes
    rows = np.arange(layout.tile_rows)
    tile = np.zeros((layout.tile_rows, layout.lanes), np.int16)
    tile[rows, (rows + column) % layout.lanes] = 1 << tensor.fmt.fraction
    first = layout.base + column // layout.lanes
    return [
        (tensor.region, index * tile_words, tile.reshape(-1))
        for index in range(first, layout.base + layout.tile_count, layout.stride)
    ]


def map_memory(
    network: Network, config: DeviceConfig, *, batch: int, momentum: bool, sums: bool = False
) -> MemoryMap:
    """Lay a network's tensors out for batches of up to `batch` samples.

    With `sums` its gradients are accumulated. Raises CompileError, listing what is needed and what
    there is, where a memory is too small.
    """
    place = _Placement(config, batch)
    sizes, formats = network.sizes, network.formats
    last = network.layers
    weights = tuple(
        place.matrix("weight", layer, Region.WEIGHT, shape, formats.weight)
        for layer, shape in enumerate(network.weight_shapes, start=1)
    )
    width = network.target_width
    targets = place.samples("target", 0, Region.TARGET, width, target_format(network))
    hidden = range(1, last)
    activations = tuple(
        place.samples("activation", layer, Region.ACTIVATION, sizes[layer] + 1, formats.activation)
        for layer in hidden
    )
    slopes = {
        layer: place.samples("slope", layer, Region.ACTIVATION, sizes[layer], SLOPE, spare=1)
        for layer in hidden
        if network.neurons[layer - 1]
    }
    output = place.samples("output", last, Region.OUTPUT, sizes[-1], network.output_format)
    deltas = tuple(
        place.samples("delta", layer, Region.DELTA, sizes[layer], formats.delta, spare=1)
        for layer in hidden
    )
    deltas += (place.samples("delta", last, Region.DELTA, sizes[-1], formats.delta),)
    inputs = place.samples("input", 0, Region.INPUT, sizes[0] + 1, formats.input)
    place.check()
    return MemoryMap(
        weights=weights,
        momentum=tuple(
            replace(w, name="momentum", region=Region.MOMENTUM, fmt=formats.momentum)
            for w in weights
            if momentum
        ),
        sums=tuple(Sums(w) for w in weights if sums),
        inputs=_buffers(inputs, config.input_tiles),
        targets=_buffers(targets, config.target_tiles),
        activations=activations,
        slopes=slopes,
        output=output,
        deltas=deltas,
    )


def target_format(network: Network) -> Format:
    """Binary point of targets; class indices are whole numbers."""
    return Format(15, 0) if network.class_target else network.output_format


def _buffers(tensor: Tensor, tile_count: int) -> tuple[Tensor, ...]:
    return tuple(
        replace(
            tensor,
            name=f"{tensor.name} (buffer {buffer})",
            layout=replace(tensor.layout, base=buffer * tile_count),
        )
        for buffer in range(INPUT_BUFFERS)
    )


class _Placement:
    """Fills each region from tile 0 on and complains of all overfull ones at once."""

    def __init__(self, config: DeviceConfig, batch: int):
        self._config, self._batch = config, batch
        self._used: dict[Region, int] = {}

    def matrix(
        self, name: str, layer: int, region: Region, shape: tuple[int, int], fmt: Format
    ) -> Tensor:
        lanes = self._config.lanes
        return self._place(name, layer, region, shape, fmt, lanes, tiles(shape[1], lanes))

    def samples(
        self, name: str, layer: int, region: Region, columns: int, fmt: Format, spare: int = 0
    ) -> Tensor:
        shape = (self._batch, columns)
        stride = tiles(columns + spare, self._config.lanes)
        return self._place(name, layer, region, shape, fmt, self._config.batch_lanes, stride)

    def _place(
        self,
        name: str,
        layer: int,
        region: Region,
        shape: tuple[int, int],
        fmt: Format,
        tile_rows: int,
        stride: int,
    ) -> Tensor:
        base = self._used.get(region, 0)
        layout = TensorLayout(
            base=base,
            rows=shape[0],
            columns=shape[1],
            tile_rows=tile_rows,
            lanes=self._config.lanes,
            stride=stride,
        )
        self._used[region] = base + layout.tile_count
        return Tensor(name=name, layer=layer, region=region, layout=layout, fmt=fmt)

    def check(self) -> None:
        """Raise CompileError unless every region is large enough."""
        lanes, batch_lanes = self._config.lanes, self._config.batch_lanes
        words = region_words(self._config)
        batch_tiles = tiles(self._batch, batch_lanes)
        problems = []
        for region, needed in self._used.items():
            weights = region == Region.WEIGHT
            there = words[region] // (lanes * (lanes if weights else batch_lanes))
            if region in (Region.INPUT, Region.TARGET):
                there //= INPUT_BUFFERS
            if needed <= there:
                continue
            fitting = there // (needed // batch_tiles) * batch_lanes
            if weights or not fitting:
                advice = "take narrower or fewer layers"
            else:
                advice = f"take batches of at most {fitting} samples"
            problems.append(
                f"network needs {needed} tiles of {region.name}, {self._config.name} has {there}: "
                f"{advice}, or a device with more memory"
            )
        if problems:
            raise CompileError("\n".join(problems))


def check_features(network: Network, config: DeviceConfig, *, batch: int) -> None:
    """Raise CompileError where the device lacks a feature or a length that the network needs."""
    if not config.supervised:
        raise CompileError(
            f"network learns by backpropagation, which {config.name} leaves out: take a device "
            "with a supervised half"
        )
    problems = []
    if any(network.neurons) and not config.spiking:
        problems.append(
            f"network needs neurons that spike (lif), which {config.name} leaves out: take relu, "
            "or a device with a spiking half beside the supervised one"
        )
    if any(network.dropout) and not config.dropout:
        able = ", ".join(c.name for c in CONFIGURATIONS.values() if c.dropout)
        problems.append(
            f"network needs dropout, which {config.name} leaves out: set it to 0, or take one of "
            f"{able}"
        )
    curved = [a.name.lower() for a in network.activations if a in CURVED]
    if curved and not config.sigmoid:
        problems.append(
            f"network needs {curved[0]}, which {config.name} leaves out: take relu or leaky_relu"
        )
    if network.loss == Loss.CROSS_ENTROPY and not config.cross_entropy:
        problems.append(
            f"network needs the cross-entropy loss, which {config.name} leaves out: take the mean "
            "squared error"
        )
    if network.sizes[-1] > config.max_outputs:
        problems.append(
            f"network needs {network.sizes[-1]} outputs, the loss unit of {config.name} takes "
            f"{config.max_outputs}: take fewer outputs"
        )
    depth = max(*(size + 1 for size in network.sizes[:-1]), network.sizes[-1])
    for name, length in (("a layer of", depth), ("a batch of", batch)):
        if length > config.max_depth:
            problems.append(
                f"network needs {name} {length} (a bias included), an accumulator of {config.name} "
                f"takes at most {config.max_depth}: make it smaller"
            )
    if problems:
        raise CompileError("\n".join(problems))
