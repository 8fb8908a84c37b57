"""What the guides have people type."""

from __future__ import annotations

import re
from pathlib import Path

HOW_TO = Path(__file__).parents[1] / "docs" / "how-to"


def blocks(page: str) -> list[str]:
    """The commands of a guide, block by block."""
    return re.findall(r"^```\n(.*?)^```", (HOW_TO / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
