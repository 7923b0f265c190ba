"""Accuracy of the examples over five splits, dense ones beside float32 PyTorch.

    python -m tests.host.benchmarks.accuracy [EXAMPLE ...] [--seeds 5] [--epochs N] [--out FILE]

PyTorch starts from the same words of weights, walks the same samples in the same order, with the
same rule and schedule. Figures are test accuracies in percent (mean of the last epochs, then the
final one; of neurons without labels also by each vote) or test RMSE. No test: it takes minutes.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from host.dense_run import DenseExperiment
from host.devices.device import open_device
from host.experiment import Experiment
from host.fixed_point import decode
from host.network import Neuron
from host.plan import ORDER_SEED
from host.run import prepare, train
from host.run_config import read_config
from hw.isa import Activation, Loss

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = (
    *("digits", "digits_deep", "breast_cancer", "iris", "wine", "sums", "digits_mse"),
    *("digits_small", "three_factor_digits"),
)

FUNCTIONS = {
    Activation.LINEAR: lambda z, slope: z,
    Activation.RELU: lambda z, slope: torch.relu(z),
    Activation.LEAKY_RELU: torch.nn.functional.leaky_relu,
    Activation.SIGMOID: lambda z, slope: torch.sigmoid(z),
    Activation.TANH: lambda z, slope: torch.tanh(z),
}


class Response(torch.autograd.Function):
    """What `host.network.Neuron` does, with its slope in place of a derivative."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, neuron: Neuron) -> torch.Tensor:
        """The activity under the currents z."""
        v, activity, slope = torch.zeros_like(z), torch.zeros_like(z), torch.zeros_like(z)
        for _ in range(neuron.steps):
            v = v - 2.0**-neuron.leak_shift * v + z
            slope += v > 0
            spikes = v >= neuron.threshold
            activity += spikes
            v = v - spikes * neuron.threshold
        ctx.save_for_backward(slope * 2.0**-neuron.exponent)
        return activity * 2.0**-neuron.exponent

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        """The gradient by the currents."""
        return gradients[0] * ctx.saved_tensors[0], None


class FloatNetwork:
    """The experiment's network and rule in float32."""

    def __init__(self, experiment: DenseExperiment):
        self.plan, self.network = experiment.plan, experiment.network
        fmt = self.network.formats.weight
        self.weights = [
            torch.tensor(decode(words, fmt), dtype=torch.float32, requires_grad=True)
            for words in self.plan.weights
        ]
        self.momentum = [torch.zeros_like(w) for w in self.weights]
        self.peak = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs before the loss."""
        network = self.network
        for w, activation, neuron in zip(
            self.weights, network.activations, network.neurons, strict=True
        ):
            z = x @ w[:, :-1].T + w[:, -1]
            if neuron:
                x = Response.apply(z, neuron)
            else:
                x = FUNCTIONS[activation](z, 2.0**-network.leak_shift)
        return x

    def step(self, x: torch.Tensor, y: torch.Tensor, epoch: int) -> None:
        """Learn one batch."""
        output = self.forward(x)
        if self.network.loss == Loss.CROSS_ENTROPY:
            loss = torch.nn.functional.cross_entropy(output, y)
        else:
            if self.network.class_target:
                y = torch.nn.functional.one_hot(y, output.shape[1]).float()
            loss = 0.5 * ((output - y) ** 2).sum(dim=1).mean()
        gradients = torch.autograd.grad(loss, self.weights)
        rule = self.plan.optimizer.rule(self.plan.factors[epoch])
        with torch.no_grad():
            for w, v, g in zip(self.weights, self.momentum, gradients, strict=True):
                v.mul_(rule.momentum).add_(g)
                w.sub_(rule.rate * v + rule.rate * rule.decay * w)


def float_results(experiment: DenseExperiment) -> dict[str, Any]:
    """Accuracy or RMSE of float32 training, as `DenseExperiment.results` names them."""
    plan, data = experiment.plan, experiment.dataset
    dtype = torch.int64 if data.classes else torch.float32
    train_x, test_x = (torch.tensor(d[0], dtype=torch.float32) for d in (data.train, data.test))
    train_y, test_y = (torch.tensor(d[1], dtype=dtype) for d in (data.train, data.test))
    net = FloatNetwork(experiment)
    order = np.random.default_rng(ORDER_SEED + plan.seed)
    curve = []
    for epoch in range(plan.epochs):
        permutation = torch.from_numpy(order.permutation(len(train_x)))
        for index in permutation.split(plan.batch_size):
            net.step(train_x[index], train_y[index], epoch)
        with torch.no_grad():
            output = net.forward(test_x)
        if data.classes:
            curve.append((output.argmax(dim=1) == test_y).float().mean().item())
        else:
            curve.append(((output - test_y) ** 2).mean().sqrt().item())
    if not data.classes:
        return {"test_rmse": curve[-1]}
    last = curve[-experiment.averaged_epochs :]
    return {"test_accuracy": sum(last) / len(last), "final_test_accuracy": curve[-1]}


SPIKING = (
    *("stdp_digits", "stdp_literal", "cerebellum_digits", "cerebellum_breast_cancer"),
    "hybrid_digits",
)
"""Examples that have no twin in PyTorch."""


KEPT = (
    *("test_accuracy", "final_test_accuracy", "test_accuracy_per_epoch", "test_rmse"),
    *("answers", "saturations", "votes"),
)


def carry_out(experiment: Experiment, device: str) -> dict[str, Any]:
    """What comes of a run on a device, of its results those that are KEPT."""
    with open_device(device, experiment.device_config) as opened:
        outcome = train(experiment, opened)
        experiment.ask(opened, outcome)
    own = experiment.results(outcome)
    kept = {key: own[key] for key in KEPT if key in own}
    return {**kept, "seed": experiment.seed, "epochs": own["epochs"]}


def measure(name: str, seed: int, device: str, epochs: int | None) -> dict[str, Any]:
    """One example with one seed, on a device and in float."""
    config = read_config(EXAMPLES / f"{name}.toml").with_options(seed=seed, epochs=epochs)
    experiment = prepare(config)
    row = {"example": name, **carry_out(experiment, device)}
    dense = isinstance(experiment, DenseExperiment)
    return {**row, "float": float_results(experiment) if dense else None}


def main() -> None:
    """Print a line a run as it ends, then the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("examples", nargs="*", default=NAMES + SPIKING)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--device", default="golden")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in options.examples:
        own = [measure(name, s, options.device, options.epochs) for s in range(options.seeds)]
        for row in own:
            print(f"{name:24} seed {row['seed']}  {_figures(row)}{_remarks(row)}", flush=True)
        print(f"{name:24} mean    {_means(own)}")
        rows += own
    if options.out:
        options.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _figures(row: dict[str, Any]) -> str:
    if "test_rmse" in row:
        return f"RMSE {row['test_rmse']:.4f}"
    return f"{100 * row['test_accuracy']:.2f} ({100 * row['final_test_accuracy']:.2f})"


def _remarks(row: dict[str, Any]) -> str:
    """What else there is to say of a run: float, votes, answers, saturations."""
    found = [f"float {_figures(row['float'])}"] if row["float"] else []
    found += [f"{vote} {100 * share:.2f}" for vote, share in row.get("votes", {}).items()]
    found += [f"{a['question']} -> {a['rounded']}" for a in row.get("answers", ())]
    found += [f"{name}: {count}" for name, count in row["saturations"].items() if count]
    return "".join(f"  {text}" for text in found)


def _means(rows: list[dict[str, Any]]) -> str:
    names = [k for k in ("test_accuracy", "final_test_accuracy", "test_rmse") if k in rows[0]]

    def mean(some: list[dict[str, Any]]) -> str:
        return _figures({name: float(np.mean([row[name] for row in some])) for name in names})

    floats = [row["float"] for row in rows if row["float"]]
    return f"{mean(rows)}  float {mean(floats)}" if floats else mean(rows)


if __name__ == "__main__":
    main()
