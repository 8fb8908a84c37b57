"""The described shapes of the signal API are those of its real answers, no field more and none less."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.lifecycle import Kind
from database.engine import Database
from tests.support_http import SIGNALS, api_token, ask
from tests.support_signals import add, event, fill
from web.dashboards.answers import models

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
}


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
