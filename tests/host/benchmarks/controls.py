"""What the parts of the spiking examples are worth: the same runs with one part taken away.

    python -m tests.host.benchmarks.controls [EXAMPLE ...] [--seeds 5] [--device sim] [--out FILE]

Figures are test accuracies in percent, as of the module `accuracy` beside this one, and where an
example is evaluated more often the curve of its means. No test: it takes an hour. The simulated
device, which is the quicker one for most of these, has the golden model's bits; stdp_literal takes
a tenth of the time on the golden model.
"""

import argparse
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from host.run import prepare
from host.run_config import parse_config
from tests.host.benchmarks.accuracy import EXAMPLES, carry_out

Tables = dict[str, Any]

def merged(tables: Tables, changes: Tables) -> Tables:
    """The tables with those of `changes` laid over; a key that becomes None is gone."""
    result = dict(tables)
    for key, value in changes.items():
        if isinstance(value, dict):
            result[key] = merged(result.get(key, {}), value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


UNSCALED: Tables = {"spiking": {"scaling": None}}
RANDOM: Tables = {"spiking": {"neurons": {"first_weights": "random"}}}


def adaptation(increment: float) -> Tables:
    """Thresholds that a spike raises by so much."""
    return {"spiking": {"neurons": {"threshold_increment": increment}}}


UNTAUGHT: Tables = {"training": {"climbing_fibre": {"potentiation": 0, "depression": 0}}}

CONTROLS: Mapping[str, Mapping[str, Tables]] = {
    "stdp_digits": {
        "as it is": {},
        "no learning": {"training": {"prototype": {"learning_rate": 0}}},
        "no scaling": UNSCALED,
        "threshold adaptation of 2^-8": adaptation(2**-8),
        "threshold adaptation of 2^-6": adaptation(2**-6),
        "random first weights": RANDOM,
        "random first weights, threshold adaptation of 2^-6": merged(RANDOM, adaptation(2**-6)),
    },
    "stdp_literal": {
        "as it is": {},
        "no learning": {"training": {"stdp": {"learning_rate": 0}}},
        "no scaling": UNSCALED,
        "no threshold adaptation": adaptation(0),
    },
    "hybrid_digits": {
        "as it is": {},
        "no STDP": {"training": {"hybrid": {"prototype": {"learning_rate": 0}}}},
        "no scaling": UNSCALED,
    },
    "cerebellum_digits": {"as it is": {}, "no learning": UNTAUGHT},
    "cerebellum_breast_cancer": {"as it is": {}, "no learning": UNTAUGHT},
}


def measure(name: str, changes: Tables, seed: int, device: str) -> dict[str, Any]:
    """An example with changes, with one seed, on a device."""
    text = (EXAMPLES / f"{name}.toml").read_text(encoding="utf-8")
    config = parse_config(merged(tomllib.loads(text), changes)).with_options(seed=seed)
    return {"example": name, **carry_out(prepare(config), device)}


def main() -> None:
    """Print a line a control as its runs end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("examples", nargs="*", default=list(CONTROLS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--device", default="sim")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for name in options.examples:
        for control, changes in CONTROLS[name].items():
            own = [measure(name, changes, s, options.device) for s in range(options.seeds)]
            print(f"{name:24} {control:50} {_figures(own)}", flush=True)
            rows += [{**row, "control": control} for row in own]
            if options.out:
                options.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _figures(rows: list[dict[str, Any]]) -> str:
    """Every seed and the mean; the curve of the means; the mean by each vote."""
    each = " ".join(f"{100 * row['test_accuracy']:.2f}" for row in rows)
    curves = np.array([[a for a in r["test_accuracy_per_epoch"] if a is not None] for r in rows])
    curve = " ".join(f"{100 * value:.2f}" for value in curves.mean(axis=0))
    votes = rows[0].get("votes", {})
    by_vote = [f"{v} {100 * np.mean([r['votes'][v] for r in rows]):.2f}" for v in votes]
    mean = 100 * np.mean([row["test_accuracy"] for row in rows])
    return "; ".join([f"{each}  mean {mean:.2f}", f"by epoch {curve}", *by_vote])


if __name__ == "__main__":
    main()
