"""Pages that show signals and trades as they are."""

from __future__ import annotations

from web.dashboards.routes import blueprint

__all__ = ["blueprint"]
