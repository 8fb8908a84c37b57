"""The webhook as it is commonly written, for comparison. `a`: a new connection, two inserts and two commits for each
alert. `b`: a pool, two inserts, one commit. Flask on waitress both, PORT and DATABASE_URL from the environment.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import closing
from typing import Any

import psycopg2
import waitress
from flask import Flask, Response, jsonify, request
from psycopg2.extensions import connection, cursor
from psycopg2.pool import ThreadedConnectionPool

THREADS = 16
TABLES = """
CREATE TABLE IF NOT EXISTS common_events (
    id serial PRIMARY KEY, trade_id varchar(100), event_type varchar(20), direction varchar(10),
    entry_price numeric(10,2), stop_loss numeric(10,2), mfe numeric(10,4), session varchar(20),
    telemetry jsonb, "timestamp" timestamp DEFAULT now());
CREATE INDEX IF NOT EXISTS common_events_trade ON common_events (trade_id);
CREATE TABLE IF NOT EXISTS common_log (
    id serial PRIMARY KEY, received_at timestamp DEFAULT now(), raw_payload jsonb, handler_result jsonb);
"""
EVENT = """
INSERT INTO common_events (trade_id, event_type, direction, entry_price, stop_loss, mfe, session, telemetry)
VALUES (%(trade_id)s, %(event_type)s, %(direction)s, %(entry_price)s, %(stop_loss)s, %(be_mfe)s, %(session)s, %(body)s)
RETURNING id
"""
RAW = "INSERT INTO common_log (raw_payload, handler_result) VALUES (%(body)s, %(result)s)"

app = Flask(__name__)
url = os.environ.get("DATABASE_URL", "")


def insert_event(cur: cursor, alert: dict[str, Any]) -> int:
    cur.execute(EVENT, {**alert, "body": request.get_data(as_text=True)})
    row = cur.fetchone()
    assert row is not None
    return int(row[0])


def insert_raw(cur: cursor, event_id: int) -> None:
    cur.execute(RAW, {"body": request.get_data(as_text=True), "result": f'{{"event_id": {event_id}}}'})


def store_apart(alert: dict[str, Any]) -> int:
    with closing(psycopg2.connect(url)) as conn:
        with conn.cursor() as cur:
            event_id = insert_event(cur, alert)
        conn.commit()
        with conn.cursor() as cur:
            insert_raw(cur, event_id)
        conn.commit()
    return event_id


def store_pooled(alert: dict[str, Any]) -> int:
    conn: connection = pool.getconn()
    try:
        with conn.cursor() as cur:
            event_id = insert_event(cur, alert)
            insert_raw(cur, event_id)
        conn.commit()
        return event_id
    finally:
        pool.putconn(conn)


@app.post("/webhook")
def webhook() -> Response:
    alert = request.get_json(silent=True) or {}
    event_id = store(alert)
    return jsonify(success=True, event_id=event_id, trade_id=alert["trade_id"])


if __name__ == "__main__":
    if sys.argv[1] == "b":
        pool = ThreadedConnectionPool(THREADS, THREADS, url)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that requests wait is the point of the load
    store = {"a": store_apart, "b": store_pooled}[sys.argv[1]]
    waitress.serve(app, host="127.0.0.1", port=int(os.environ["PORT"]), threads=THREADS)
