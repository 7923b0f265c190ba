"""Weights that were learned before: of a run, or of PyTorch.

    weights.npz         layer_1, layer_2, ...: words as a run writes them, or real numbers
    *.safetensors       a checkpoint of a run, tile by tile as the device had them; or a state_dict:
                        pairs of NAME.weight (outputs, inputs) and NAME.bias, in the order of their
                        names, 2 before 10

A matrix here is (outputs, inputs + 1), the bias last.
"""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.fixed_point import decode
from host.layers import Dense
from host.memory_map import map_memory
from host.network import Network, dense
from host.training.initialisation import draw
from hw.configurations import configuration
from hw.isa import Loss, Register
from hw.numbers import WEIGHT, Format

Reals = NDArray[np.float64]
CHECKPOINT = "synaptile"
"""Names the document in the header of a checkpoint."""

Source = Path | str | Sequence[ArrayLike]
"""A file, or matrices of all layers."""


def first_weights(
    network: Network, layers: Sequence[Dense], *, init: str, source: Source | None, seed: int
) -> list[Reals]:
    """The weights that a network begins with.

    Layers that name an init are drawn by it, as are all layers where there is no source, by `init`
    unless they name another one. The others are taken from the source, layer by layer.

    Raises ValueError where the source cannot be read, or lacks a layer or has it in another shape.
    """
    weights = draw([layer.init or init for layer in layers], network, seed)
    if source is None:
        return weights
    taken = [index for index, layer in enumerate(layers) if layer.init is None]
    if not taken:
        raise ValueError("weights must be left out where every layer names its own init")
    if isinstance(source, Path | str):
        found, place = read_weights(Path(source), network.formats.weight), str(source)
    else:
        matrices = (np.asarray(matrix, np.float64) for matrix in source)
        found, place = dict(enumerate(matrices, start=1)), "weights"
    for index in taken:
        weights[index] = _matching(found, index + 1, network.weight_shapes[index], place)
    return weights


def _matching(
    found: Mapping[int, Reals], layer: int, shape: tuple[int, int], place: str
) -> Reals:
    """The matrix of a layer; ValueError where there is none of that shape."""
    advice = f"give layer {layer} an init of its own, or the network the layers of the weights"
    if layer not in found:
        raise ValueError(f"{place} must have weights for layer {layer}, not {len(found)}: {advice}")
    if found[layer].shape != shape:
        raise ValueError(
            f"weights of layer {layer} must be of shape {shape}, the bias included, not "
            f"{found[layer].shape} as in {place}: {advice}"
        )
    return found[layer]


def read_weights(path: Path, fmt: Format) -> dict[int, Reals]:
    """The matrices of a file by layer, from 1.

    Words are of the format that the run's result.json beside them names, else of `fmt`.
    Raises ValueError where the file is neither, or does not hold weights of dense layers.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist: weights must be a file, .npz or .safetensors")
    if path.suffix == ".npz":
        return _run_weights(path, _run_format(path.with_name("result.json"), fmt))
    if path.suffix == ".safetensors":
        header, tensors = _tensors(path)
        if CHECKPOINT in header:
            return _checkpoint(path, header[CHECKPOINT], tensors)
        return _state_dict(path, tensors)
    raise ValueError(f"weights must be a file .npz or .safetensors, not {path.name}")


def _run_format(result: Path, fmt: Format) -> Format:
    """The weights' format of the run that wrote a result.json; `fmt` where it names none."""
    try:
        named = json.loads(result.read_text(encoding="utf-8"))["config"]["formats"]["weights"]
        return Format.parse(named)
    except (OSError, ValueError, KeyError, TypeError):
        return fmt


def _run_weights(path: Path, fmt: Format) -> dict[int, Reals]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            named = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as .npz: {error}") from None
    found = {}
    for name, array in named.items():
        match = re.fullmatch(r"layer_(\d+)", name)
        if match is None or array.ndim != 2 or array.dtype.kind not in "if":
            raise ValueError(
                f"{path} must hold matrices layer_1, layer_2, ... as a run of a dense network "
                f"writes them, not {name} of shape {array.shape}"
            )
        words = array.dtype.kind == "i"
        found[int(match[1])] = decode(array, fmt) if words else array.astype(np.float64)
    return found


def _tensors(path: Path) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """What a file says about its tensors, and these by name."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            names = file.keys()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from None


def _checkpoint(
    path: Path, document: str, tensors: Mapping[str, NDArray[Any]]
) -> dict[int, Reals]:
    """The matrices of the dense network of a run, out of the tiles of its WEIGHT memory."""
    try:
        run = json.loads(document)["run"]
        config, device = run["config"], configuration(run["configuration"])
        features = int(tensors["device.registers"][Register.FEATURES])
        sizes = (features, *(layer["units"] for layer in config["network"]["layers"]))
        image = tensors["device.memories.WEIGHT 0"].view(np.int16)
        fmt = Format.parse(config.get("formats", {}).get("weights") or str(WEIGHT))
    except (ValueError, KeyError, TypeError, IndexError):
        raise ValueError(f"{path} must be a checkpoint of a dense network's run") from None
    # Where weights lie depends on their shapes alone.
    network = dense(sizes, loss=Loss.MEAN_SQUARED_ERROR, class_target=False)
    laid = map_memory(network, device, batch=1, momentum=False).weights
    return {tensor.layer: decode(tensor.matrix(image), fmt) for tensor in laid}


def _state_dict(path: Path, tensors: Mapping[str, NDArray[Any]]) -> dict[int, Reals]:
    """The linear layers of a state_dict in the natural order of their names."""
    names = [name.rpartition("weight")[0] for name in tensors if name.endswith("weight")]
    known = {f"{name}{part}" for name in names for part in ("weight", "bias")}
    linear = all(tensors[f"{name}weight"].ndim == 2 for name in names)
    if not names or not linear or not known.issuperset(tensors):
        there = ", ".join(f"{name} {array.shape}" for name, array in tensors.items())
        raise ValueError(
            f"{path} must hold NAME.weight of two axes and NAME.bias of each linear layer, and "
            f"nothing else, not {there or 'nothing'}"
        )
    found = {}
    for layer, name in enumerate(sorted(names, key=_natural), start=1):
        weight = tensors[f"{name}weight"].astype(np.float64)
        bias = tensors.get(f"{name}bias", np.zeros(len(weight))).astype(np.float64)
        if bias.shape != weight.shape[:1]:
            raise ValueError(
                f"{path} must hold {name}bias of shape {weight.shape[:1]}, not {bias.shape}"
            )
        found[layer] = np.column_stack([weight, bias])
    return found


def _natural(name: str) -> list[tuple[str, int]]:
    """A key that sorts the numbers in names as numbers."""
    return [(text, int(digits or -1)) for text, digits in re.findall(r"(\D*)(\d*)", name)]
