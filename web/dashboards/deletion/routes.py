"""Delete and restore signals: forms of the pages, and the same for programs. Only an operator may."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from flask import Response, redirect, request
from flask_login import current_user

from database import deletions
from database.states import Key
from web.dashboards.answers import models
from web.dashboards.api import answer, signals_api
from web.dashboards.deletion.payloads import DeleteBody, RestoreBody, read_form
from web.dashboards.payloads import LimitQuery
from web.dashboards.records import deletion
from web.dashboards.routes import blueprint
from web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

DELETED = "/automated-signals-quality#deleted"
log = logging.getLogger(__name__)


@blueprint.post("/automated-signals/delete")
def delete_chosen() -> ResponseReturnValue:
    """Delete the signals that are ticked in the list; leads to the deletions, where each can be undone."""
    _delete(read_form(request.form))
    return redirect(DELETED, 303)


@blueprint.post("/automated-signals/restore/<int:deletion_id>")
def restore_one(deletion_id: int) -> ResponseReturnValue:
    """Undo a deletion."""
    _restore([deletion_id])
    return redirect(DELETED, 303)


@signals_api.get(
    "/deletions",
    summary="The newest deletions with who, when and why, undone ones too",
    responses={200: models.DeletionsAnswer},
)
def list_deletions(query: LimitQuery) -> Response:
    """`events_since` counts what came for a deleted signal after its deletion."""
    with services().db.transaction() as cur:
        rows = deletions.list_deletions(cur, limit=query.page_size)
    return answer(deletions=[deletion(row) for row in rows])


@signals_api.post("/delete", summary="Delete signals softly", responses={200: models.DeletedAnswer})
def delete(body: DeleteBody) -> Response:
    """Signals leave lists, figures and calendar; their events stay. What is not there is passed over."""
    return answer(deleted=[_named(key) for key in _delete(body)])


@signals_api.post("/restore", summary="Undo deletions", responses={200: models.RestoredAnswer})
def restore(body: RestoreBody) -> Response:
    """The signals come back with everything that has come for them since."""
    return answer(restored=[_named(key) for key in _restore(body.ids)])


def _delete(body: DeleteBody) -> list[Key]:
    keys = {(each.stream, each.trade_id) for each in body.signals}
    with services().db.transaction() as cur:
        found = deletions.delete_signals(cur, keys, reason=body.reason, by=_who(), now=services().clock.now())
    log.info("signals_deleted", extra={"by": _who(), "reason": body.reason, "count": len(found)})
    return found


def _restore(ids: list[int]) -> list[Key]:
    with services().db.transaction() as cur:
        found = deletions.restore_signals(cur, ids, by=_who(), now=services().clock.now())
    log.info("signals_restored", extra={"by": _who(), "count": len(found)})
    return found


def _who() -> str:
    return str(current_user.name)


def _named(key: Key) -> dict[str, Any]:
    return {"stream": key[0], "trade_id": key[1]}
