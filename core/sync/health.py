"""From where on health scores and open gaps are a warning, and from where on critical. Pure."""

from __future__ import annotations

from typing import Final

WARNING_SCORE: Final = 80
CRITICAL_SCORE: Final = 50
WARNING_GAPS: Final = 50
CRITICAL_GAPS: Final = 100
