"""The described shapes of the API are those of its real answers, no field more and none less.

Beyond what is asked here, the fixture `app` holds every answer that any test gets against its description.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from flask import Response
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from pydantic import BaseModel

from core.lifecycle import Kind
from core.settings import Settings
from database.engine import Database
from tests.support_answers import hold_to_description, model_named, models_of
from tests.support_http import SIGNALS, api_token, ask
from tests.support_signals import add, event, fill
from web.dashboards.answers import figures, models
from web_server import create_app

ANSWERS = {
    "/dashboard-data": models.DashboardAnswer,
    "/stats": models.StatsAnswer,
    "/trade/WON": models.TradeAnswer,
    "/trade/GONE": models.TradeAnswer,
    "/all-signals": models.SignalsAnswer,
    "/cancelled-signals": models.SignalsAnswer,
    "/daily-calendar?month=2025-12": models.CalendarAnswer,
    "/daily-calendar?month=2024-12": models.CalendarAnswer,
    "/deletions": models.DeletionsAnswer,
    "/trade/WON/chart": figures.ChartAnswer,
    "/trade/LATE/chart": figures.ChartAnswer,
    "/analytics": figures.AnalyticsAnswer,
    "/analytics?target=2&q=nothing": figures.AnalyticsAnswer,
}
WITHOUT_MODEL = {("get", "/api/stream")}  # server-sent events


@pytest.mark.parametrize("path", ANSWERS)
def test_an_answer_is_as_described(caller: FlaskClient, db: Database, path: str) -> None:
    fill(db)
    add(db, event("LATE", Kind.EXIT_SL, 50, symbol=None))
    ANSWERS[path].model_validate_json(caller.get(SIGNALS + path).data)


def test_deleting_and_restoring_answer_as_described(app: OpenAPI, db: Database) -> None:
    fill(db)
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {api_token(db, 'operator')}"
    body = {"signals": [{"stream": "main", "trade_id": "WON"}], "reason": "x"}
    models.DeletedAnswer.model_validate_json(client.post(f"{SIGNALS}/delete", json=body).data)
    listed = models.DeletionsAnswer.model_validate_json(client.get(f"{SIGNALS}/deletions").data)
    answer = client.post(f"{SIGNALS}/restore", json={"ids": [each.id for each in listed.deletions]})
    assert len(models.RestoredAnswer.model_validate_json(answer.data).restored) == 1


def test_the_description_names_the_shape_of_each_answer(app: OpenAPI, caller: FlaskClient) -> None:
    document: dict[str, Any] = app.api_doc
    for path, model in {"/all-signals": "SignalsAnswer", "/stats": "StatsAnswer"}.items():
        found = document["paths"][SIGNALS + path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert found["$ref"].endswith(f"/{model}")
    assert ask(caller, "/stats")["success"] is True


def test_every_answer_is_described(app: OpenAPI) -> None:
    found = {
        (method, path)
        for path, item in app.api_doc["paths"].items()
        for method, operation in item.items()
        if not any(model_named(app.api_doc, path, method, status) for status in (200, 201))
    }
    assert found == WITHOUT_MODEL


def test_every_shape_has_a_name_of_its_own() -> None:
    names = Counter(model.__name__ for model in set(models_of(BaseModel)))
    assert [name for name, count in names.items() if count > 1 and name.endswith(("Answer", "Record"))] == []


def test_an_answer_that_is_not_as_described_is_noticed(settings: Settings, db: Database) -> None:
    app = create_app(settings, db)
    faults = hold_to_description(app)
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {api_token(db, 'viewer')}"
    app.after_request_funcs[None].append(with_a_field_more)  # before the check: the last registered runs first
    client.get(f"{SIGNALS}/stats")
    assert "is no StatsAnswer" in faults[0]


def with_a_field_more(answer: Response) -> Response:
    answer.set_data(answer.get_data().replace(b'{"success"', b'{"more":1,"success"'))
    return answer
