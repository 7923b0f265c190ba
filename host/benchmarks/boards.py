"""How fast each board trains, bound by its array and by its serial line, and what fits it."""

from bisect import bisect_left
from typing import Any

from boards.board import Board, board, names
from host.benchmarks.cycles import SMALL, SMALL_BATCH, Measure, step_cycles
from host.benchmarks.speed import FRAME_BYTES
from host.benchmarks.workload import DIGITS, Workload, classifier
from host.compiler import CompileError
from host.devices.serial_device import BITS_PER_BYTE
from host.network import dense
from hw.config import DeviceConfig
from hw.layout import tiles

BATCHES = (32, 16, 8)
SMALLER_BATCHES = (4, 2, 1)
"""What only the largest network of a board is trained in."""


def supervised() -> list[str]:
    """Boards that train by backpropagation."""
    return [name for name in names() if board(name).config.supervised]


def workload_of(found: Board) -> Workload:
    """Digits in the largest batch that the board has room for, or what every board has room for."""
    for batch in BATCHES:
        workload = on_digits(found.config, DIGITS[1], batch)
        if fits(workload):
            return workload
    return Workload(config=found.config, network=classifier(*SMALL), batch=SMALL_BATCH)


def largest(config: DeviceConfig) -> Workload | None:
    """Digits with the most hidden neurons that fit, in the largest batch that fits with them."""
    widths = {batch: widest(config, batch) for batch in BATCHES + SMALLER_BATCHES}
    batch = max(widths, key=lambda batch: (widths[batch], batch))
    return on_digits(config, widths[batch], batch) if widths[batch] else None


def widest(config: DeviceConfig, batch: int) -> int:
    """The most hidden neurons that fit with digits in batches of a size, 0 where none do."""
    # Each takes a row of a tile at least. What fits with one more fits with one less.
    hidden = range(1, config.weight_tiles * config.lanes + 1)
    return bisect_left(hidden, True, key=lambda h: not fits(on_digits(config, h, batch)))


def on_digits(config: DeviceConfig, hidden: int, batch: int) -> Workload:
    """Digits with so many hidden neurons, by cross-entropy where there is that."""
    sizes = (DIGITS[0], hidden, DIGITS[-1])
    network = dense(sizes) if config.cross_entropy else classifier(*sizes)
    return Workload(config=config, network=network, batch=batch)


def fits(workload: Workload) -> bool:
    """Whether its device has room for a workload."""
    try:
        workload.compiled()
    except CompileError:
        return False
    return True


def line_bytes(workload: Workload) -> int:
    """Bytes on the line for a batch: of its samples and of the frames around them."""
    network = workload.network
    samples = workload.batch * (network.sizes[0] + network.target_width)
    return samples + tiles(samples, workload.config.frame_payload) * FRAME_BYTES


def array_rate(found: Board, workload: Workload, cycles: int) -> float:
    """Samples a second at a board's clock from the cycles of a training step."""
    return workload.batch * float(found.hertz) / cycles


def line_rate(found: Board, workload: Workload) -> float:
    """Samples a second over a board's serial line."""
    return workload.batch * found.baud / BITS_PER_BYTE / line_bytes(workload)


def on_boards(measure: Measure, peers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of every board its samples a second, and how many times those of the peers on digits."""
    cycles: dict[str, int] = {}
    rows = []
    for name in supervised():
        found = board(name)
        workload = workload_of(found)
        config = found.config.name
        if config not in cycles:
            cycles[config] = measure(found.config, step_cycles, workload)
        rows.append(row(name, workload, cycles[config], peers))
    return rows


def row(name: str, workload: Workload, cycles: int, peers: list[dict[str, Any]]) -> dict[str, Any]:
    """A board's samples a second from the cycles of a training step.

    `compute` is bound by the array alone, `line` by a serial line that is never idle; a board
    trains at the smaller one.
    """
    found = board(name)
    compute, line = array_rate(found, workload, cycles), line_rate(found, workload)
    same = workload.network.sizes == DIGITS
    return {
        "board": name,
        "title": workload.title,
        "batch": workload.batch,
        "megahertz": found.megahertz,
        "baud": found.baud,
        "cycles": cycles,
        "compute": compute,
        "line": line,
        "samples_per_second": min(compute, line),
        "ratios": {p["peer"]: compute / p["samples_per_second"] for p in peers} if same else {},
    }
