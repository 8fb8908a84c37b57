"""The service with one route more, which does nothing: the same server, log line, headers and policy, no work."""

from __future__ import annotations

import logging
import sys

from flask import Blueprint, Response, jsonify
from flask_openapi3 import OpenAPI

import web_server
from core.settings import Settings
from database.engine import Database
from web import auth
from web.policy import POLICY, Access

noop = Blueprint("noop", __name__)
build = web_server.create_app


@noop.post("/api/automated-signals/webhook-noop")
def do_nothing() -> Response:
    """Read nothing, store nothing."""
    return jsonify(success=True)


def create_app(settings: Settings | None = None, db: Database | None = None) -> OpenAPI:
    app = build(settings, db)
    auth.csrf.exempt(noop)
    app.register_blueprint(noop)
    return app


if __name__ == "__main__":
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # as for what it is compared with
    POLICY["noop"] = Access.PUBLIC
    web_server.create_app = create_app
    sys.exit(web_server.main())
