"""Figures as a person reads them."""


def percent(share: float | None) -> str:
    """A share in percent; '-' where there is none."""
    return "-" if share is None else f"{100 * share:.2f} %"


def number(value: float | None) -> str:
    """A number of four digits; '-' where there is none."""
    return "-" if value is None else f"{value:.4g}"


def tally(counts: dict[str, int]) -> str:
    """What has been counted by name, without zeros; 'none' where there is nothing else."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "none"
