"""How fast each board trains: bound by its array at its clock, and by its serial line."""

from typing import Any

from boards.board import Board, board, names
from host.benchmarks.cycles import SMALL, SMALL_BATCH, Measure, step_cycles
from host.benchmarks.speed import FRAME_BYTES
from host.benchmarks.workload import DIGITS, Workload, classifier
from host.compiler import CompileError
from host.network import dense
from host.serial_device import BITS_PER_BYTE
from hw.layout import tiles

BATCHES = (32, 16, 8)


def workload_of(found: Board) -> Workload:
    """Digits in the largest batch that the board has room for, or what every board has room for."""
    config = found.config
    digits = dense(DIGITS) if config.cross_entropy else classifier(*DIGITS)
    for batch in BATCHES:
        workload = Workload(config=config, network=digits, batch=batch)
        try:
            workload.compiled()
        except CompileError:
            continue
        return workload
    return Workload(config=config, network=classifier(*SMALL), batch=SMALL_BATCH)


def line_bytes(workload: Workload) -> int:
    """Bytes on the line for a batch: of its samples and of the frames around them."""
    network = workload.network
    samples = workload.batch * (network.sizes[0] + network.target_width)
    return samples + tiles(samples, workload.config.frame_payload) * FRAME_BYTES


def on_boards(measure: Measure, peers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of every board its samples a second, and how many times those of the peers on digits."""
    cycles: dict[str, int] = {}
    rows = []
    for name in names():
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
    compute = workload.batch * float(found.hertz) / cycles
    line = workload.batch * found.baud / BITS_PER_BYTE / line_bytes(workload)
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
