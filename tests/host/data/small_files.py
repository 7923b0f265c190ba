"""Small files of samples, one of each kind, all with the same samples where the kind allows it."""

import gzip
import json
import struct
from pathlib import Path

import numpy as np

from host.data import synthetic_market

SPECIES = ("setosa", "versicolor", "virginica")
X = np.round(np.random.default_rng(5).uniform(0, 3, (30, 4)), 2)
Y = np.arange(30) % 3
X[np.arange(30), Y] += 2


def idx(array: np.ndarray, kind: int) -> bytes:
    """An array in the IDX format."""
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    types = {0x08: ">u1", 0x0D: ">f4"}
    return bytes([0, 0, kind, array.ndim]) + shape + array.astype(types[kind]).tobytes()


def recording(seed: int, label: int) -> dict:
    """Spike trains of four neurons in 20 ms; the neuron of the class spikes most."""
    rng = np.random.default_rng([seed, label])
    trains = []
    for neuron in range(4):
        times = np.sort(rng.permutation(20)[: 8 if neuron == label else 2]) + 0.5
        trains.append(
            {"neuron_id": neuron, "layer": "input", "spike_times": times.tolist(), "duration": 20}
        )
    return {"spike_trains": trains}


def write_all(folder: Path) -> dict[str, str]:
    """Write a file of every kind; the lines of [data] that read it, by the name of the kind."""
    names = "length,width,height,depth,species"
    lines = [",".join(map(str, x)) + f",{SPECIES[y]}" for x, y in zip(X, Y, strict=True)]
    (folder / "named.csv").write_text("\n".join([names, *lines]) + "\n")
    numbers = [",".join(map(str, x)) + f",{y}" for x, y in zip(X, Y, strict=True)]
    (folder / "plain.csv").write_text("\n".join(numbers) + "\n")
    np.savez(folder / "d.npz", x=X, y=Y)
    np.savez_compressed(folder / "other.npz", images=X.reshape(30, 2, 2), labels=Y)
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", Y)
    (folder / "images-idx3-ubyte.gz").write_bytes(
        gzip.compress(idx((X * 50).reshape(30, 2, 2), 0x08))
    )
    (folder / "labels-idx1-ubyte").write_bytes(idx(Y, 0x08))
    (folder / "x.idx").write_bytes(idx(X, 0x0D))
    (folder / "market.json").write_text(synthetic_market(0, 60))
    for label, name in enumerate(SPECIES):
        (folder / "trains" / name).mkdir(parents=True)
        for seed in range(8):
            text = json.dumps(recording(seed, label))
            (folder / "trains" / name / f"{seed}.json").write_text(text)
    return {
        "named csv": 'file = "named.csv"\ntarget = "species"',
        "plain csv": 'file = "plain.csv"',
        "npz": 'file = "d.npz"',
        "named npz": 'file = "other.npz"\ninputs = ["images"]\ntarget = "labels"',
        "npy": 'file = "x.npy"\nlabels = "y.npy"',
        "idx gz": 'file = "images-idx3-ubyte.gz"\nlabels = "labels-idx1-ubyte"\nscaling = 64',
        "idx": 'file = "x.idx"\nlabels = "labels-idx1-ubyte"',
        "market": 'file = "market.json"\nscaling = "z-score"',
    }
