"""The report's page: a run's folder as one HTML file with its pictures inside.

It asks nothing of a network: no script, no font, no image but those it carries.
"""

import base64
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from host.checkpoints.file import write_whole
from host.checkpoints.store import FOLDER, paths
from host.commands.figures import number, percent, tally
from host.monitoring.status import duration
from host.report.contents import Contents

TEMPLATE = Path(__file__).with_name("page.html")


def check_report() -> None:
    """Raise ValueError unless there is what reports need."""
    for module, name in (("jinja2", "Jinja2"), ("matplotlib", "matplotlib")):
        if importlib.util.find_spec(module) is None:
            raise ValueError(
                f"reports need {name}, which is not installed: pip install 'synaptile[pictures]'"
            )


def write_report(folder: Path) -> Path:
    """Draw a run's pictures and write its report.html; ValueError where the folder is no run's."""
    check_report()
    from jinja2 import Environment, StrictUndefined

    contents = Contents.read(folder)
    pictures = [
        (picture.caption, base64.b64encode(picture.path.read_bytes()).decode())
        for picture in contents.draw()
    ]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    results = contents.results or {}
    page = environment.from_string(TEMPLATE.read_text("utf-8")).render(
        name=folder.resolve().name,
        state=str(contents.status["state"]),
        rows=[*_progress(contents), *_outcome(results)],
        pictures=pictures,
        validation=_validation(results.get("biological_validation")),
        config=contents.config,
    )
    path = folder / "report.html"
    write_whole(path, page.encode())
    return path


def _progress(contents: Contents) -> list[tuple[str, str]]:
    status = contents.status
    rows = [
        ("epochs", f"{status['epoch']} of {status['epochs']}"),
        ("device", f"{status['device']}, {status['configuration']}"),
        ("elapsed", duration(status["elapsed"])),
    ]
    if status.get("best") is not None:
        name, best = status["best_of"], status["best"]
        text = percent(best) if name.endswith("accuracy") else number(best)
        rows.append((f"best {name}", f"{text}, epoch {status['best_epoch']}"))
    checkpoints = [f"{epoch}" for epoch, _ in reversed(paths(contents.folder / FOLDER))]
    if checkpoints:
        rows.append(("checkpoints of epochs", ", ".join(checkpoints)))
    return rows


def _outcome(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What result.json adds; a run that has not ended has none."""
    if not results:
        return []
    rows = []
    for key in ("test_accuracy", "final_test_accuracy"):
        if results.get(key) is not None:
            rows.append((key.replace("_", " "), percent(results[key])))
    if results.get("test_rmse") is not None:
        rows.append(("test RMSE", number(results["test_rmse"])))
    rows.append(("samples trained", f"{results['samples']:,} in {duration(results['seconds'])}"))
    if results["cycles"]:
        rows.append(("cycles per sample", f"{results['cycles_per_sample']:,.1f}"))
    if results.get("mac_utilisation"):
        rows.append(("MAC utilisation", percent(results["mac_utilisation"])))
    rows.append(("saturations", tally(results["saturations"])))
    return [*rows, ("seed", str(results["seed"])), ("build", results["build"])]


def _validation(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The figures of a validation as texts."""
    if found is None:
        return None
    rows = []
    for row in found["figures"]:
        high = "" if row["high"] is None else f" to {row['high']:g}"
        usual = f"{row['low']:g}{high}" if high else f"from {row['low']:g} on"
        rows.append({**row, "value": f"{row['value']:.3g}", "usual": usual})
    groups = ", ".join(f"{name} {percent(share)}" for name, share in found["groups"].items())
    return {"figures": rows, "score": percent(found["score"]), "groups": groups}
