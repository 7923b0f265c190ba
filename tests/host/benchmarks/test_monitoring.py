"""What watching a run costs is measured, and told."""

from rich.console import Console

from host.benchmarks.monitoring import overhead
from host.benchmarks.report import Report


def test_what_watching_costs_is_measured_and_printed():
    console = Console(record=True, width=120)
    found = overhead(epochs=1, repeat=1)
    Report(console).monitoring(found)
    assert found["ratio"] == found["seconds"]["watched"] / found["seconds"]["alone"] > 0
    assert f"{found['ratio']:.2f} times" in console.export_text()
