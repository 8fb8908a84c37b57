"""Who did what: every change that somebody with a login or token asked for, and every login, right or wrong."""

from __future__ import annotations

import logging

import psycopg2
from flask import Blueprint, Response, g, render_template, request
from flask_login import current_user

from core.errors import SignalbookError
from database import operator_actions
from database.operator_actions import Action
from database.storable import id_or_none, without_nul
from web.policy import SAFE_METHODS
from web.services import services

log = logging.getLogger(__name__)

audit = Blueprint("audit", __name__)
PAGE_SIZE = 100
LOGINS = frozenset({"auth.log_in", "pages.code_login.check_code"})
NOT_AUDITED = frozenset({"webhook", "pages.preferences", "signals.preferences"})
SHOWN_FIELDS = ("stream", "limit", "parameter", "value", "reason", "action", "name")
"""What is kept of a form: never passwords, codes, tokens."""
LONGEST = 200


@audit.get("/audit")
def page() -> str:
    """What was done, newest first."""
    before_id = id_or_none(request.args.get("before_id", type=int))
    with services().db.transaction() as cur:
        rows = operator_actions.list_actions(cur, limit=PAGE_SIZE + 1, before_id=before_id)
    shown = rows[:PAGE_SIZE]
    older = shown[-1].id if len(rows) > PAGE_SIZE else None
    return render_template("audit.html", actions=shown, older=older, before_id=before_id)


@audit.after_app_request
def write_down(response: Response) -> Response:
    """Keep the action beside its outcome. It never changes the answer: what cannot be kept stands in the log."""
    if request.method in SAFE_METHODS or request.endpoint is None or request.blueprint in NOT_AUDITED:
        return response
    login, role = _actor()
    # A flood of guesses is counted by the limit, not written down guess by guess.
    if not login and (request.endpoint not in LOGINS or response.status_code == 429):
        return response
    action = Action(
        done_at=services().clock.now(),
        login=login,
        role=role,
        action=request.endpoint,
        arguments=_arguments(),
        status=response.status_code,
        address=request.remote_addr or "",
        request_id=g.get("request_id", ""),
    )
    log.info("operator_action", extra={"login": login, "action": action.action, "status": response.status_code})
    try:
        with services().db.transaction() as cur:
            operator_actions.add_action(cur, action)
    except (SignalbookError, psycopg2.Error) as error:
        log.warning("operator_action_not_kept", extra={"action": action.action, "reason": type(error).__name__})
    return response


def _actor() -> tuple[str, str]:
    """(name, role) of the caller; empty for nobody. Asks the database nothing that the request has not asked."""
    if "leaving" in g:
        name, role = g.leaving
        return name, role
    if "_login_user" in g and current_user.is_authenticated:
        return current_user.name, current_user.role
    return "", ""


def _arguments() -> dict[str, str]:
    path = {name: str(value)[:LONGEST] for name, value in (request.view_args or {}).items()}
    if request.endpoint in LOGINS:
        return path  # a password typed into the wrong field must not be kept
    form = {name: without_nul(request.form[name])[:LONGEST] for name in SHOWN_FIELDS if name in request.form}
    return path | form
