"""The analyzers there are. A new one is a module with a `build(parameters)`, and a line here. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from analysis import ema_cross
from analysis.analyzer import Analyzer
from analysis.trend import machine

Builder = Callable[[Mapping[str, Any]], Analyzer]

KINDS: Final[Mapping[str, Builder]] = {"trend": machine.build, "ema_cross": ema_cross.build}
