"""Builds the service from its parts and starts it. Owns nothing: every part lives in its own package."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace

from flask_openapi3 import Info, OpenAPI
from prometheus_client import REGISTRY

import analysis.routes
import database.cli
import hybrid_sync.routes
import ingestion.cli
import ingestion.routes
import operations.parts
import telemetry.cli
import telemetry.parts
import telemetry.routes
import waves.cli
import waves.parts
import waves.routes
import web.cli
import web.format
from core.errors import MisconfiguredError
from core.jobs import Job
from core.settings import ROLES, Settings
from database.engine import Database
from database.jobs import PRUNE_JOB_RUNS
from database.keeper import DatabaseKeeper, open_database, open_for_command
from database.notify import Listener
from database.scheduler import Scheduler
from ingestion import parts as market_data
from telemetry.parts import Telemetry
from web import api, assets, auth, dashboards, errors, headers, pages, policy
from web.live import routes as live
from web.services import Services
from web.serving import doctor, health, metrics, readiness, request_log
from web.serving.admission import Admission
from web.serving.environment import ROOT, settings_of_environment
from web.serving.first_start import settle
from web.serving.keys import load_secrets
from web.serving.logs import REDACTOR, init_logging
from web.serving.server import Server, leave_at_once, stop_together

JOBS: tuple[Job, ...] = (PRUNE_JOB_RUNS, *dashboards.JOBS)

log = logging.getLogger("signalbook")


def create_app(settings: Settings | None = None, db: Database | None = None) -> OpenAPI:
    """The Flask app. Without arguments (the `flask` command) it reads the environment and connects when first needed."""
    settings = settings or settings_of_environment()
    services = Services(settings, db or open_for_command(settings), secrets=load_secrets(settings))
    REDACTOR.add(*services.secrets.values())
    info = Info(title="Signalbook", version=health.VERSION)
    app = OpenAPI("signalbook", info=info, root_path=str(ROOT), static_folder=None, **api.OPTIONS)
    given = (settings, services.db, services.clock)
    app.extensions.update(signalbook=services, telemetry=telemetry.parts.build(*given))
    app.extensions.update(waves=waves.parts.build(*given), market_data=market_data.build(*given))
    app.config.update(SECRET_KEY=services.secrets["secret_key"], MAX_CONTENT_LENGTH=1024 * 1024)
    for init in (
        request_log.init_request_log,
        errors.init_errors,
        headers.init_headers,
        auth.init_auth,
        policy.init_policy,
        web.format.init_format,
        assets.init_assets,
        live.init_live,
    ):
        init(app)
    _register(app, settings)
    operations.parts.init_operations(app, *given)
    analysis.routes.init_analysis(app, *given)
    return app


def _register(app: OpenAPI, settings: Settings) -> None:
    """Routes and commands: a worker answers health and metrics only."""
    app.register_blueprint(health.blueprint)
    app.register_blueprint(metrics.blueprint)
    if settings.role != "worker":
        own = (auth.blueprint, pages.blueprint, api.blueprint, dashboards.blueprint, telemetry.routes.webhook)
        features = (telemetry.routes, waves.routes, ingestion.routes, hybrid_sync.routes)
        for blueprint in (*own, *(feature.pages for feature in features)):
            app.register_blueprint(blueprint)
        for described in (dashboards.signals_api, live.blueprint, *(feature.api for feature in features)):
            app.register_api(described)
        auth.csrf.exempt(telemetry.routes.webhook)
        telemetry.routes.init_fast_lane(app, headers.answer_headers(settings), request_log)
    for part in (database.cli, hybrid_sync.cli, ingestion.cli, telemetry.cli, waves.cli, web.cli, doctor):
        for group in part.COMMANDS:
            app.cli.add_command(group)


def serve(settings: Settings) -> None:
    """Run the service until a signal ends it."""
    init_logging(settings)
    db, embedded = open_database(settings, role=settings.role)
    app = create_app(settings, db)
    services: Services = app.extensions["signalbook"]
    intake: Telemetry = app.extensions["telemetry"]
    keeper = DatabaseKeeper(db, embedded, on_ready=lambda: settle(db, settings, intake.settle))
    market: market_data.MarketData = app.extensions["market_data"]
    ops: operations.parts.Operations = app.extensions["operations"]
    of_features = (*JOBS, *market.jobs, *waves.parts.jobs(settings), *hybrid_sync.routes.jobs(settings))
    jobs = ops.jobs(of_features)
    scheduler = Scheduler(db, jobs, wait_for=keeper.ready)
    analyst = app.extensions["analysis"]
    feed, sentry = waves.parts.feed(app.extensions["waves"], keeper.ready), ops.sentry(keeper.ready)
    listener = Listener(db, {"webhook_tokens": intake.door.refresh, **live.channels(app)}, wait_for=keeper.ready)
    readiness.register(services, keeper=keeper, scheduler=scheduler, intake=intake.check, feed=market.check)
    readiness.watch(services, waves=feed.check, analysis=analyst.check, **ops.checks())
    server = Server(Admission(assets.wrap_static(app, app.wsgi_app), services.draining), services.draining, settings)
    intake.start(REGISTRY)
    market.start(REGISTRY, keeper.ready)
    for part in (keeper, scheduler, listener, feed, sentry, analyst):
        part.start()
    try:
        server.run()
    finally:
        services.draining.set()
        left = stop_together(market, intake, analyst, sentry, feed, scheduler, listener)
        keeper.stop()
        db.close()
        log.info("stopped", extra={"left": left})
        if left:
            leave_at_once()


def main(arguments: Sequence[str] | None = None) -> int:
    """`python web_server.py [--role all|web|worker]`; 2 when a setting is wrong."""
    parser = argparse.ArgumentParser(description="Signalbook", allow_abbrev=False)
    parser.add_argument("--role", choices=ROLES, help="what this process does; the setting ROLE otherwise")
    role = parser.parse_args(arguments).role
    try:
        settings = settings_of_environment()
        serve(replace(settings, role=role) if role else settings)
    except MisconfiguredError as error:
        sys.stderr.write(f"signalbook: {error.message}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
