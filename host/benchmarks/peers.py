"""What one core of this machine makes of the same training: PyTorch, and numpy by hand.

A peer runs in a process of its own, with one thread:

    python -m host.benchmarks.peers numpy 64-32-10 32 100 1000
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PEERS = ("numpy", "torch")
RATE, MOMENTUM = 2.0**-4, 0.9
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
ROOT = Path(__file__).resolve().parents[2]

Reals = NDArray[np.float32]
Step = Callable[[int], object]
"""Trains with the batch of a number."""


class NumpyPeer:
    """A dense ReLU network under cross-entropy and SGD with momentum, in float32.

    Everything is allocated before the first step. Samples are columns, so that softmax reduces
    over rows; a bias is the weight of a row of ones, as on the device. All weights lie in one
    vector, and the momentum is kept as what is added to it, which makes the update three passes:
    u <- beta u - rate g; w <- w + u. The loss is not computed, as learning does not need it.

    Parameters
    ----------
    weights: matrices n_l x (n_{l-1} + 1)
    inputs: (batches, N, n_0)
    labels: (batches, N)

    Attributes
    ----------
    weights: views of the weights
    """

    def __init__(
        self,
        weights: Sequence[NDArray[Any]],
        inputs: NDArray[Any],
        labels: NDArray[np.integer],
        *,
        rate: float = RATE,
        momentum: float = MOMENTUM,
    ):
        batches, batch, features = inputs.shape
        self._flat = np.concatenate([w.reshape(-1) for w in weights]).astype(np.float32)
        self._moved, self._step = np.zeros_like(self._flat), np.zeros_like(self._flat)
        shapes = [w.shape for w in weights]
        self.weights = _views(self._flat, shapes)
        self._gradients = _views(self._step, shapes)
        self._back = [w[:, :-1].T for w in self.weights]
        self._momentum, self._zero = np.float32(momentum), np.float32(0)

        # Minus the rate and the mean over the batch, brought in where it costs least.
        self._scale = np.float32(-rate / batch)
        classes = shapes[-1][0]
        ones = np.ones((batches, batch, 1), np.float32)
        self._samples = np.concatenate([inputs.astype(np.float32), ones], axis=2)
        self._columns = np.ascontiguousarray(self._samples.transpose(0, 2, 1))
        self._targets = np.zeros((batches, classes, batch), np.float32)
        place = np.arange(batches)[:, None], labels, np.arange(batch)[None, :]
        self._targets[place] = self._scale

        def empty(rows: int) -> Reals:
            return np.empty((rows, batch), np.float32)

        self._augmented = [np.ones((rows + 1, batch), np.float32) for rows, _ in shapes[:-1]]
        self._hidden = [y[:-1] for y in self._augmented]
        self._signs = [empty(rows) for rows, _ in shapes[:-1]]
        self._deltas = [empty(rows) for rows, _ in shapes]
        self._sums = np.empty(batch, np.float32)

    def step(self, batch: int) -> None:
        """Train with a batch."""
        output = self._forward(self._columns[batch])
        sums = self._sums
        np.maximum.reduce(output, axis=0, out=sums)
        np.subtract(output, sums, out=output)
        np.exp(output, out=output)
        np.add.reduce(output, axis=0, out=sums)
        np.divide(self._scale, sums, out=sums)
        np.multiply(output, sums, out=output)
        np.subtract(output, self._targets[batch], out=output)

        for layer in range(len(self.weights) - 1, 0, -1):
            delta, behind = self._deltas[layer], self._deltas[layer - 1]
            np.matmul(self._back[layer], delta, out=behind)
            np.sign(self._hidden[layer - 1], out=self._signs[layer - 1])
            np.multiply(behind, self._signs[layer - 1], out=behind)
            np.matmul(delta, self._augmented[layer - 1].T, out=self._gradients[layer])
        np.dot(self._deltas[0], self._samples[batch], out=self._gradients[0])

        np.multiply(self._moved, self._momentum, out=self._moved)
        np.add(self._moved, self._step, out=self._moved)
        np.add(self._flat, self._moved, out=self._flat)

    def loss(self, batch: int) -> float:
        """Mean cross-entropy of a batch, in nats."""
        logits = self._forward(self._columns[batch]).astype(np.float64)
        logits -= logits.max(axis=0)
        target = self._targets[batch] != 0
        return float(np.mean(np.log(np.exp(logits).sum(axis=0)) - logits.T[target.T]))

    def _forward(self, columns: Reals) -> Reals:
        for weight, hidden, augmented in zip(
            self.weights[:-1], self._hidden, self._augmented, strict=True
        ):
            np.dot(weight, columns, out=hidden)
            np.maximum(hidden, self._zero, out=hidden)
            columns = augmented
        return np.dot(self.weights[-1], columns, out=self._deltas[-1])


def _views(flat: Reals, shapes: Sequence[tuple[int, int]]) -> list[Reals]:
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    parts = np.split(flat, ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


class TorchPeer:
    """The same network and rule in PyTorch, eager, as its tutorials write a training step, with the
    fastest of its optimizers.

    Parameters and attributes are NumpyPeer's.
    """

    def __init__(
        self,
        weights: Sequence[NDArray[Any]],
        inputs: NDArray[Any],
        labels: NDArray[np.integer],
        *,
        rate: float = RATE,
        momentum: float = MOMENTUM,
    ):
        import torch

        torch.set_num_threads(1)
        layers: list[torch.nn.Module] = []
        for matrix in weights:
            linear = torch.nn.Linear(matrix.shape[1] - 1, matrix.shape[0])
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(np.array(matrix[:, :-1], np.float32)))
                linear.bias.copy_(torch.from_numpy(np.array(matrix[:, -1], np.float32)))
            layers += [linear, torch.nn.ReLU()]
        self._model = torch.nn.Sequential(*layers[:-1])
        self._optimizer = torch.optim.SGD(
            self._model.parameters(), lr=rate, momentum=momentum, fused=True
        )
        self._criterion = torch.nn.functional.cross_entropy
        self._inputs = torch.from_numpy(inputs.astype(np.float32))
        self._labels = torch.from_numpy(labels.astype(np.int64))

    @property
    def weights(self) -> list[Reals]:
        """Copies of the weights, with the biases last."""
        parameters = [p.detach().numpy() for p in self._model.parameters()]
        pairs = zip(parameters[::2], parameters[1::2], strict=True)
        return [np.column_stack(pair) for pair in pairs]

    def step(self, batch: int) -> None:
        """Train with a batch."""
        self._optimizer.zero_grad()
        self._criterion(self._model(self._inputs[batch]), self._labels[batch]).backward()
        self._optimizer.step()


def measure(step: Step, batches: int, *, warm_up: int, iterations: int) -> dict[str, Any]:
    """Seconds of a step: quartiles over `iterations`, after some that do not count."""
    for index in range(warm_up):
        step(index % batches)
    seconds = np.empty(iterations)
    for index in range(iterations):
        started = time.perf_counter()
        step(index % batches)
        seconds[index] = time.perf_counter() - started
    first, median, third = np.percentile(seconds, [25, 50, 75])
    return {"seconds": float(median), "quartiles": [float(first), float(third)]}


def run(
    name: str, sizes: Sequence[int], batch: int, *, warm_up: int, iterations: int
) -> dict[str, Any]:
    """Measure a peer in a process of its own; RuntimeError where that fails."""
    shape = "-".join(map(str, sizes))
    arguments = [name, shape, str(batch), str(warm_up), str(iterations)]
    done = subprocess.run(
        [sys.executable, "-m", __name__, *arguments],
        env={**os.environ, **ONE_THREAD},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the peer {name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def _main(name: str, shape: str, *numbers: str) -> None:
    from host.benchmarks.workload import first_weights, training_data
    from host.network import dense

    batch, warm_up, iterations = map(int, numbers)
    network = dense(tuple(map(int, shape.split("-"))))
    inputs, labels = training_data(network)
    batches = len(labels) // batch
    x = inputs[: batches * batch].reshape(batches, batch, -1)
    y = labels[: batches * batch].reshape(batches, batch)
    peer: NumpyPeer | TorchPeer
    peer = (NumpyPeer if name == "numpy" else TorchPeer)(first_weights(network), x, y)
    result = measure(peer.step, batches, warm_up=warm_up, iterations=iterations)
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    figures = {
        "peer": name,
        "network": shape,
        "batch": batch,
        "warm_up": warm_up,
        "iterations": iterations,
        "samples_per_second": batch / result["seconds"],
        "microseconds_per_sample": 1e6 * result["seconds"] / batch,
        "peak_memory_bytes": peak,
        **result,
    }
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    _main(*sys.argv[1:])
