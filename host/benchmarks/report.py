"""What a benchmark measured, as tables for the terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

MEBIBYTE = 1 << 20


class Report:
    """Prints a table for each section as soon as it is measured.

    Parameters
    ----------
    console: where
    """

    def __init__(self, console: Console):
        self._console = console

    def training_step(self, step: dict[str, Any]) -> None:
        """Section 1."""
        self._heading(f"cycles of a training step: {step['title']}")
        table = _table("command", "times", "alone", "array")
        for row in step["commands"]:
            table.add_row(*map(_count, (row["command"], row["count"], row["latency"])), _of(row))
        table.add_section()
        table.add_row("one by one", "", _count(step["latency_sum"]), _count(step["array_cycles"]))
        table.add_row("overlapped", "", _count(step["cycles"]), "", style="bold")
        self._print(table)
        target = f" (target {_percent(step['target'])})" if step["target"] else ""
        self._line(
            f"MAC utilisation {_percent(step['utilisation'])}{target}, counting biases "
            f"{_percent(step['utilisation_with_bias'])}"
        )
        if not step["named"]:
            self._line(
                f"{step['configuration']} is no named configuration: {step['weight_tiles']} tiles "
                f"of WEIGHT, tile memories of {step['tile_memory_bits'] / 1e6:.1f} Mbit"
            )

    def growth(self, name: str, section: dict[str, Any]) -> None:
        """Section 2."""
        self._heading(f"cycles of a training step as the {name} grows")
        table = _table(name, "step", "cycles", "a sample", "utilisation")
        for row in section["rows"]:
            if "left_out" in row:
                table.add_row(str(row[name]), row["title"], "does not fit", "", "")
                continue
            figures = (row[name], row["title"], row["cycles"], f"{row['cycles_per_sample']:.1f}")
            table.add_row(*map(_count, figures), _percent(row["utilisation"]))
        self._print(table)
        if "fit" in section:
            fit = section["fit"]
            self._line(
                f"cycles = {fit['constant']:.0f} + {fit['slope']:.2f} x {name}, "
                f"within {fit['largest_error']:.0f}"
            )

    def simulation(self, epoch: dict[str, Any], target: float) -> None:
        """Sections 3 and 7."""
        self._heading(f"simulated gateware: {epoch['title']}")
        table = _table("figure", "value")
        speed = f"{epoch['cycles_per_simulator_second'] / 1e6:.2f} M (target {target / 1e6:g} M)"
        table.add_row("cycles a second of the simulator's time", speed)
        table.add_row("cycles a second, host included", f"{epoch['cycles_per_second'] / 1e6:.2f} M")
        table.add_row("samples a second", _count(round(epoch["samples_per_second"])))
        table.add_row("cycles a batch", f"{epoch['cycles_per_batch']:,.1f}")
        waited = f"{_count(epoch['waiting'])} in {epoch['batches'] * epoch['repeat']} batches"
        table.add_row("cycles that waited for samples", waited)
        self._print(table)

    def golden(self, epoch: dict[str, Any]) -> None:
        """Section 4."""
        self._heading(f"golden model: {epoch['title']}")
        self._line(f"{_count(round(epoch['samples_per_second']))} samples a second")

    def monitoring(self, section: dict[str, Any]) -> None:
        """What watching a run costs."""
        self._heading(f"checkpoints, metrics and events: {section['title']}")
        alone, watched = section["seconds"]["alone"], section["seconds"]["watched"]
        self._line(
            f"{watched:.3f} s of processor time instead of {alone:.3f} s: "
            f"{section['ratio']:.2f} times (target: at most {section['target']:g})"
        )

    def spikes(self, section: dict[str, Any]) -> None:
        """The spiking half."""
        network = f"{section['inputs']} inputs, {section['neurons']} neurons"
        self._heading(f"spiking half: {network}, {section['configuration']}")
        table = _table("command, all in its list", "cycles", "synapses a cycle")
        for row in section["commands"]:
            rate = row["synapses_per_cycle"]
            table.add_row(row["command"], f"{row['cycles']:,.1f}", f"{rate:.2f}" if rate else "")
        self._print(table)
        known = ", ".join(
            f"{row['updates_per_cycle']} of {row['design']}" for row in section["published"]
        )
        self._line(f"there are {section['lanes']} lanes; published: {known}")
        table = _table("inputs that fire", "events", "cycles of a time step")
        for row in section["steps"]:
            table.add_row(_percent(row["share"]), str(row["events"]), f"{row['cycles']:,.1f}")
        self._print(table)

    def peers(self, peers: list[dict[str, Any]]) -> None:
        """Section 5."""
        if not peers:
            return
        first = peers[0]
        self._heading(
            f"one core of this machine: {first['network']}, batch {first['batch']}, "
            f"{first['warm_up']} + {first['iterations']} iterations"
        )
        table = _table("peer", "samples/s", "us a sample", "step", "quartiles", "peak memory")
        for peer in peers:
            low, high = peer["quartiles"]
            table.add_row(
                peer["peer"],
                _count(round(peer["samples_per_second"])),
                f"{peer['microseconds_per_sample']:.3f}",
                f"{1e6 * peer['seconds']:.1f} us",
                f"{1e6 * low:.1f} to {1e6 * high:.1f} us",
                f"{peer['peak_memory_bytes'] / MEBIBYTE:.0f} MiB",
            )
        self._print(table)

    def ratios(self, rows: list[dict[str, Any]]) -> None:
        """Section 6."""
        if not rows:
            return
        self._heading(
            f"the device at its clock: {rows[0]['title'].rpartition(', ')[0]}; samples/s, and how "
            "many times a peer's"
        )
        peers = [f"x {peer}" for peer in rows[0]["ratios"]]
        table = _table("device, bound by", "MHz", "samples/s", "us a sample", *peers)
        for row in rows:
            for bound, suffix in (("array", ""), ("link, 1 byte a cycle", "_link")):
                rate = row[f"samples_per_second{suffix}"]
                table.add_row(
                    f"{row['configuration']}, {bound}",
                    f"{row['megahertz']:g}",
                    _count(round(rate)),
                    f"{1e6 / rate:.3f}",
                    *[f"{ratio:.2f}" for ratio in row[f"ratios{suffix}"].values()],
                )
        self._print(table)

    def boards(self, rows: list[dict[str, Any]]) -> None:
        """Section 7."""
        self._heading("boards at their clocks: samples/s bound by the array, and by the line")
        peers = list(dict.fromkeys(peer for row in rows for peer in row["ratios"]))
        times = [f"x {peer}" for peer in peers]
        table = _table("board", "network", "batch", "MHz", "array", *times, "line")
        for row in rows:
            ratios = [f"{row['ratios'][p]:.2f}" if p in row["ratios"] else "" for p in peers]
            table.add_row(
                row["board"],
                row["title"].partition(",")[0],
                str(row["batch"]),
                f"{row['megahertz']:g}",
                _count(round(row["compute"])),
                *ratios,
                _count(round(row["line"])),
            )
        self._print(table)

    def note(self, text: str) -> None:
        """A line about what was left out, or goes on."""
        self._console.print(Text(text, style="yellow"), soft_wrap=True)

    def _heading(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, style="bold"), soft_wrap=True)

    def _print(self, table: Table) -> None:
        self._console.print(table)

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _of(row: dict[str, Any]) -> str:
    return _count(row["array"]) if row["array"] else ""


def _count(value: int | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
