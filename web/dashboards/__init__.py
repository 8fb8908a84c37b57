"""Pages that show signals and trades as they are, and the same for programs."""

from __future__ import annotations

from web.dashboards.analytics import routes as _analytics  # noqa: F401 - adds its routes
from web.dashboards.analytics.path_job import TRADE_PATHS
from web.dashboards.api import signals_api
from web.dashboards.calendar import routes as _calendar  # noqa: F401 - adds its page
from web.dashboards.deletion import routes as _deletion  # noqa: F401 - adds its routes
from web.dashboards.quality import routes as _quality  # noqa: F401 - adds its page
from web.dashboards.routes import blueprint
from web.dashboards.trade import api as _trade  # noqa: F401 - adds its route

JOBS = (TRADE_PATHS,)

__all__ = ["JOBS", "blueprint", "signals_api"]
