"""One figure of a benchmark, for machines and for people."""

from __future__ import annotations

import json


def print_figure(bench: str, figure: str, value: float, unit: str, target: str) -> None:
    """A line of JSON and a line to read; `target` says what it should be, or that it is for comparison."""
    told = {"bench": bench, "figure": figure, "value": round(value, 3), "unit": unit, "target": target}
    print(json.dumps(told))
    print(f"  {figure}: {value:,.3f} {unit} (target {target})", flush=True)
