"""Pages that belong to no feature: the overview, the status page for people, licences, and how a reader likes to look.

What a reader chooses (theme, zone, ...) is kept in cookies, so that the server renders it and nothing flashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, current_app, g, redirect, render_template, request
from flask_login import current_user

from web.headers import cookie_prefix, keep_cookie
from web.safe_next import safe_next
from web.security.account import account
from web.security.audit import audit
from web.security.second_factor import code_login
from web.security.well_known import well_known
from web.services import Check, services
from web.serving import health, status_page

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("pages", __name__)
preferences = Blueprint("preferences", __name__)

CHOICES: Mapping[str, tuple[str, ...]] = {  # the first of each is the default
    "theme": ("dark", "light"),
    "zone": ("ny", "local", "utc"),
    "palette": ("teal", "blue"),
    "swap": ("off", "on"),
    "density": ("compact", "relaxed"),
}
CHECK_WORDS = {"pass": "Working", "warn": "Needs attention", "fail": "Not working"}
HEADLINES = {
    "pass": "Everything works. Alerts are being stored.",
    "warn": "Alerts are being stored, but something needs attention.",
    "fail": "Alerts cannot be stored right now.",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the product with a page of its own; it is linked to when its route exists."""

    path: str
    title: str
    purpose: str


PARTS = (
    Part("/automated-signals", "Signals", "Every signal and trade as it truly is: status, prices, excursions in R."),
    Part("/automated-signals-telemetry", "Deliveries", "Each alert byte for byte, and what was understood of it."),
    Part("/market-data", "Market data", "Contracts, bars and the feed, with every hole in them."),
    Part("/analysis", "Analysis", "Trend starts on every timeframe, and where timeframes agree."),
    Part("/hybrid-sync", "Sync", "Gaps, health scores, and what was repaired from which evidence."),
    Part("/params", "Waves", "Strategy parameters per exchange, their history and overrides."),
    Part("/connect", "Connect", "The webhook address for TradingView and whether alerts arrive."),
    Part("/status", "Status", "Whether alerts can be stored, and every check behind that answer."),
)
USEFUL_FIRST = "/automated-signals"


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """The page a trader wants first, or the overview while that part is not there."""
    return redirect(USEFUL_FIRST) if USEFUL_FIRST in _paths() else overview()


@blueprint.get("/overview")
def overview() -> str:
    """What this installation can do and how it is."""
    return render_template("overview.html", **_state())


@blueprint.get("/status")
def status() -> str:
    """The readiness checks in words, alarms, and the last rehearsals."""
    told = status_page.told(services().db)
    return render_template("status.html", version=health.VERSION, commit=health.commit(), **_state(), **told)


@blueprint.get("/about/licences")
def licences() -> str:
    """Whose work this service is built on."""
    return render_template("licences.html")


@preferences.post("/preferences")
def save() -> ResponseReturnValue:
    """Keep one or more choices in cookies; a value that is not on offer is ignored."""
    response = redirect(safe_next(request.form.get("next")), 303)
    for name, offered in CHOICES.items():
        if request.form.get(name) in offered:
            # Not HttpOnly: the page's script changes them without a reload.
            keep_cookie(response, _cookie(name), request.form[name], httponly=False)
    return response


@blueprint.app_context_processor
def page_context() -> dict[str, Any]:
    """What every page needs. Asks the database nothing, so that the page about its absence can be rendered too."""
    is_known = "_login_user" in g and current_user.is_authenticated
    found = services()
    database = found.checks.get("database", lambda: Check("pass"))()
    return {
        "login": current_user if is_known else None,
        "view": {name: _choice(name, offered) for name, offered in CHOICES.items()},
        "cookies": cookie_prefix(found.settings),
        "parts": parts() if is_known else (),
        "is_demo": found.settings.demo,
        "database_away": database.status != "pass",
        "now": found.clock.now(),
        "here": request.full_path.rstrip("?") if request.method == "GET" else "/",
    }


def parts() -> tuple[Part, ...]:
    """The parts of the product whose pages this app serves."""
    return tuple(part for part in PARTS if part.path in _paths())


def _choice(name: str, offered: tuple[str, ...]) -> str:
    chosen = request.cookies.get(_cookie(name), "")
    return chosen if chosen in offered else offered[0]


def _cookie(name: str) -> str:
    return f"{cookie_prefix(services().settings)}view_{name}"


def _paths() -> set[str]:
    return {rule.rule for rule in current_app.url_map.iter_rules()}


def _state() -> dict[str, Any]:
    """The readiness of the service, worst checks first."""
    checks = services().readiness()
    if services().draining.is_set():
        checks["process"] = Check("fail", "shutting down")
    order = list(CHECK_WORDS)
    rows = sorted(checks.items(), key=lambda item: (-order.index(item[1].status), item[0]))
    overall = health.overall(checks)
    return {"checks": rows, "overall": overall, "headline": HEADLINES[overall], "check_words": CHECK_WORDS}


for part in (preferences, code_login, account, audit, well_known):
    blueprint.register_blueprint(part)
