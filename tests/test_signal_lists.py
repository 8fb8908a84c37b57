"""The list of signals: filtered, sorted and paged by the database, told in the address, exported, with its header."""

from __future__ import annotations

import csv
import html
import io
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI
from werkzeug.datastructures import MultiDict

from core.errors import InvalidInputError
from core.lifecycle import Kind
from core.sessions import SESSIONS
from core.trading_calendar import cme_equity_calendar
from database import states, sync
from database.deliveries import TEST_CONTENT_TYPE
from database.engine import Database
from database.states import Order, Place, Selection
from tests.support_deliveries import deliver
from tests.support_http import csrf_token, get, listed, words
from tests.support_signals import START, add, event, measure, mfe
from web.dashboards import columns, export, pulse, query

LIST = "/automated-signals"
HOUR = 60
OPEN = datetime(2025, 12, 10, 15, 0, tzinfo=UTC)  # a Wednesday
CLOSED = datetime(2025, 12, 13, 15, 0, tzinfo=UTC)  # the Saturday after


def names(answer: Any) -> list[str]:
    return [row.partition("/")[2] for row in listed(answer)]


def every_page(reader: FlaskClient, path: str) -> list[str]:
    """The ids of all pages, in order."""
    seen: list[str] = []
    for _ in range(20):
        answer = get(reader, path)
        seen += names(answer)
        following = re.search(r'rel="next" href="([^"]+)"', answer.text)
        if not following:
            return seen
        path = html.unescape(following[1])
    raise AssertionError("paging does not end")


@pytest.fixture
def trades(db: Database) -> None:
    """Four trades with different excursions, one of them without; a pending and a cancelled signal. NQ is short."""
    for number, best in enumerate(("0.50", "2.50", "1.50")):
        add(db, event(f"T{number}", Kind.ENTRY, number * 5), mfe(f"T{number}", number * 5 + 1, "0.1", best))
    add(db, event("T3", Kind.ENTRY, 20))
    add(db, event("T1", Kind.EXIT_SL, 40), event("T0", Kind.EXIT_SL, 50))
    add(db, event("NQ", Kind.SIGNAL_CREATED, -20 * HOUR, symbol="NQ1!", direction="short"))
    cancelled = {"reason": "opposite_signal_appeared", "bars_pending": 7, "cancelled_by": "NEXT"}
    add(db, event("X", Kind.SIGNAL_CREATED, 3 * HOUR), event("X", Kind.CANCELLED, 3 * HOUR + 7, **cancelled))


@pytest.mark.usefixtures("trades")
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("session=NY AM", {"T0", "T1", "T2", "T3"}),
        ("session=NY LUNCH", {"X"}),
        ("session=NY PRE", set()),
        ("session=AFTER_HOURS", set()),
        ("direction=short", {"NQ"}),
        ("q=mnq1", {"T0", "T1", "T2", "T3", "X"}),
        ("q=t1", {"T1"}),
        ("q=%", set()),
        ("from=2025-12-10", {"T0", "T1", "T2", "T3", "X"}),
        ("to=2025-12-09", {"NQ"}),
        ("from=2025-12-10&to=2025-12-10&status=completed", {"T0", "T1"}),
        ("status=pending&direction=long", set()),
        ("session=&direction=&q=&from=&to=", {"T0", "T1", "T2", "T3", "X", "NQ"}),
    ],
)
def test_filters_leave_what_was_asked_for(reader: FlaskClient, asked: str, expected: set[str]) -> None:
    assert set(names(get(reader, f"{LIST}?{asked}"))) == expected


@pytest.mark.usefixtures("trades")
@pytest.mark.parametrize(
    ("sort", "way", "expected"),
    [
        ("signal", "desc", ["X", "T3", "T2", "T1", "T0", "NQ"]),
        ("signal", "asc", ["NQ", "T0", "T1", "T2", "T3", "X"]),
        ("no_be_mfe", "desc", ["T1", "T2", "T0", "X", "T3", "NQ"]),
        ("no_be_mfe", "asc", ["T0", "T2", "T1", "NQ", "T3", "X"]),
        ("entered", "asc", ["T0", "T1", "T2", "T3", "NQ", "X"]),
        ("ended", "desc", ["X", "T0", "T1", "T3", "T2", "NQ"]),
        ("id", "asc", ["NQ", "T0", "T1", "T2", "T3", "X"]),
        ("id", "desc", ["X", "T3", "T2", "T1", "T0", "NQ"]),
    ],
)
def test_every_order_pages_through_all_signals_unknown_values_last(
    reader: FlaskClient, monkeypatch: pytest.MonkeyPatch, sort: str, way: str, expected: list[str]
) -> None:
    path = f"{LIST}?sort={sort}&way={way}"
    assert names(get(reader, path)) == expected
    for size in (1, 2, 4):
        monkeypatch.setattr("web.dashboards.routes.PAGE_SIZE", size)
        assert every_page(reader, path) == expected


@pytest.mark.parametrize("sort", states.SORTED_BY)
@pytest.mark.parametrize("is_rising", [False, True])
def test_ties_over_streams_are_paged_once_in_every_order(db: Database, sort: str, is_rising: bool) -> None:
    for stream in ("one", "two", "three"):
        add(db, *(event(f"T{number}", Kind.ENTRY, stream=stream) for number in range(3)))
        add(db, *(event(f"T{number}", Kind.MFE_UPDATE, 2, stream=stream, mae_r=Decimal(-1)) for number in range(3)))
    order, seen, after = Order(sort, is_rising), [], None
    with db.transaction() as cur:
        while rows := states.list_states(cur, limit=2, streams=["one", "two", "three"], order=order, after=after):
            seen += [(row.trade_id, row.stream) for row in rows]
            after = states.place_of(rows[-1], order)
    assert seen == sorted(seen, reverse=not is_rising)
    assert len(set(seen)) == 9


@pytest.mark.parametrize("is_rising", [False, True])
@pytest.mark.parametrize("sort", ["signal", "entered", "ended", "id"])
def test_an_index_gives_the_order_and_the_place(db: Database, sort: str, is_rising: bool) -> None:
    place = Place(None if sort == "id" else START, "T500", "main")
    given = asdict(Selection()) | asdict(Order(sort, is_rising)) | {"streams": ["main"], "limit": 100}
    given |= {"after_at": place.value, "after_value": None, "after_id": "T500", "after_stream": "main"}
    with db.transaction() as cur:
        cur.execute("SET LOCAL enable_seqscan = off")
        cur.execute("SET LOCAL enable_bitmapscan = off")
        cur.execute(f"EXPLAIN {states.SQL.list_keys}", given | {"is_unknown": sort == "id"})
        plan = "\n".join(row[0] for row in cur.fetchall())
    scan = plan[plan.index("Index") :]
    assert "ROW(" in scan[scan.index("Index Cond") :].splitlines()[0], plan
    assert plan.count("Sort Key") <= 1, plan  # of the page itself, once more over the streams


@pytest.mark.usefixtures("trades")
def test_the_address_keeps_the_filter_on_every_tab_page_and_heading(reader: FlaskClient) -> None:
    said = get(reader, f"{LIST}?status=completed&direction=long&q=T&sort=mae&way=asc").text
    kept = "direction=long&amp;q=T&amp;sort=mae&amp;way=asc"
    for status in ("all", "active", "cancelled"):
        assert f'href="{LIST}?status={status}&amp;{kept}"' in said
    assert f'href="{LIST}?status=completed&amp;direction=long&amp;q=T&amp;sort=mae"' in said  # turns the order round
    assert 'aria-sort="ascending"' in said
    assert f'href="{LIST}.csv?status=completed&amp;{kept}"' in said
    assert "All Signals 4 Active 2 Completed 2 Cancelled 0 Pending 0" in words(
        get(reader, f"{LIST}?direction=long&q=T")
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "x"),
        ("session", "NY"),
        ("direction", "up"),
        ("from", "yesterday"),
        ("to", "9999-12-31"),
        ("sort", "facts"),
        ("way", "up"),
        ("q", "x" * 101),
        ("before", "x"),
    ],
)
def test_an_address_that_means_nothing_is_refused_by_the_name_of_the_part(field: str, value: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        query.read_query({field: value})
    assert raised.value.field == field


def test_a_span_of_days_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="to: "):
        query.read_query({"from": "2025-12-11", "to": "2025-12-10"})


def test_days_are_new_york_days_also_when_the_clocks_change() -> None:
    chosen = query.read_query({"from": "2025-11-02", "to": "2025-11-02"}).selection()
    assert (chosen.since, chosen.until) == (
        datetime(2025, 11, 2, 4, tzinfo=UTC),
        datetime(2025, 11, 3, 5, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("order", "value"),
    [
        (Order("signal"), START),
        (Order("signal"), None),
        (Order("mae", is_rising=True), Decimal("-0.25")),
        (Order("id"), None),
    ],
)
def test_a_place_in_the_list_survives_its_way_through_an_address(order: Order, value: Any) -> None:
    place = Place(value, "T:1", "main")
    assert query.read_cursor(query.write_cursor(place), order) == place


@pytest.mark.parametrize(
    ("order", "value"), [(Order("mae"), START), (Order("signal"), Decimal(1)), (Order("mae"), Decimal("NaN"))]
)
def test_a_place_of_another_order_is_refused(order: Order, value: Any) -> None:
    with pytest.raises(InvalidInputError):
        query.read_cursor(query.write_cursor(Place(value, "T", "main")), order)


def test_the_list_tells_confirmation_alignment_and_the_latest_event(reader: FlaskClient, db: Database) -> None:
    told = {"daily": "Bullish", "h4": "Bearish", "h1": "Neutral", "m1": "Bullish"}
    add(db, event("D", Kind.SIGNAL_CREATED, htf_alignment=told), event("D", Kind.ENTRY, 2))
    add(db, event("S", Kind.ENTRY, 9, confirmation_time=START, bars_to_confirmation=3))
    vague = {"m1": "Bullish", "all_bullish": True, "all_bearish": True}
    add(db, event("V", Kind.SIGNAL_CREATED, 30, htf_alignment=vague))
    answer = get(reader, LIST)
    said = words(answer)
    assert re.search(r"D MNQ1! .* NY AM ▲ ▼ – ▲ 09:32 EST derived 2 ENTRY 09:33 EST", said)
    assert re.search(r"S MNQ1! .* sent 3 ", said)
    assert re.search(r"V MNQ1! Pending .* not computed — — SIGNAL_CREATED", said)
    assert 'aria-label="daily Bullish, h4 Bearish, h1 Neutral, m1 Bullish"' in answer.text


@pytest.mark.usefixtures("trades")
def test_the_cancelled_tab_tells_when_why_after_how_long_and_by_what(reader: FlaskClient) -> None:
    said = words(get(reader, f"{LIST}?status=cancelled"))
    assert "Cancelled ↓ Reason" not in said
    assert re.search(r"X MNQ1! .* NY LUNCH .* 12:37 EST opposite_signal_appeared 7 NEXT", said)
    assert "No-BE MFE" not in said


@pytest.mark.usefixtures("trades")
def test_columns_are_chosen_by_a_form_and_kept_in_a_cookie(reader: FlaskClient) -> None:
    form: MultiDict[str, str] = MultiDict([("column", "symbol"), ("column", "mae"), ("next", f"{LIST}?q=T")])
    form["csrf_token"] = csrf_token(reader, LIST)
    answer = reader.post(f"{LIST}/columns", data=form)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{LIST}?q=T")
    headings = re.search(r"(?s)<thead>.*</thead>", get(reader, LIST).text)
    assert headings
    assert re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", headings[0])).split() == ["Signal", "Symbol", "MAE"]
    form["all"] = "yes"
    reader.post(f"{LIST}/columns", data=form)
    assert "No-BE MFE" in words(get(reader, LIST))


def test_a_cookie_names_the_hidden_columns_and_nonsense_hides_none() -> None:
    assert columns.shown("all", columns.cookie_of(["symbol", "mae"])) == tuple(
        column for column in columns.COLUMNS if column.name in ("symbol", "mae")
    )
    assert columns.shown("all", "nonsense.<b>") == columns.COLUMNS


def test_every_session_can_be_filtered_by() -> None:
    assert [query.read_query({"session": name}).session for name in SESSIONS] == list(SESSIONS)


@pytest.mark.usefixtures("trades")
def test_csv_holds_every_signal_of_the_filter_in_its_order(
    reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.dashboards.routes.CSV_ROWS", 2)
    answer = reader.get(f"{LIST}.csv?sort=no_be_mfe&direction=long")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.mimetype == "text/csv"
    assert re.fullmatch(r'attachment; filename="signals-\d{8}T\d{6}Z\.csv"', answer.headers["Content-Disposition"])
    assert [row["trade_id"] for row in rows] == ["T1", "T2", "T0", "X", "T3"]
    assert (rows[0]["signal_time"], rows[0]["mae_r"]) == ("2025-12-10T14:35:00Z", "-0.25")
    assert (rows[3]["no_be_mfe_r"], rows[3]["cancel_reason"]) == ("", "opposite_signal_appeared")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1"])
def test_text_in_csv_is_never_a_formula(text: str) -> None:
    row = SimpleNamespace(**dict.fromkeys(export.COLUMNS) | {"symbol": text, "mae_r": Decimal("-1.50")})
    (values,) = csv.reader(io.StringIO(export.rows_of([row]), newline=""))
    found = dict(zip(export.COLUMNS, values, strict=True))
    assert (found["symbol"], found["mae_r"]) == (f"'{text}", "-1.50")


def test_the_header_counts_today_open_trades_and_recent_alerts(reader: FlaskClient, app: OpenAPI, db: Database) -> None:
    now = app.extensions["signalbook"].clock.now()
    add(db, event("NOW", Kind.ENTRY, received_at=now, signal_time=now))
    add(db, event("OLD", Kind.ENTRY))
    deliver(db, *({"event_type": "HEARTBEAT", "signal_count": number} for number in range(13)), received_at=now)
    answer = get(reader, LIST)
    said = words(answer)
    assert "Today 1 Open trades 2" in said
    assert "13/15 per 3 min" in said
    assert 'class="state-warn"' in answer.text


def test_a_test_from_the_connection_page_is_no_alert_of_the_header(
    reader: FlaskClient, app: OpenAPI, db: Database
) -> None:
    now = app.extensions["signalbook"].clock.now()
    add(db, event("OLD", Kind.ENTRY))
    deliver(db, {"event_type": "HEARTBEAT", "signal_count": 1}, received_at=now, content_type=TEST_CONTENT_TYPE)
    said = words(get(reader, LIST))
    assert "No live alert yet" in said
    assert "0/15 per 3 min" in said
    deliver(db, {"event_type": "HEARTBEAT", "signal_count": 2}, received_at=now)
    said = words(get(reader, LIST))
    assert "Last alert" in said
    assert "1/15 per 3 min" in said


@pytest.mark.usefixtures("trades")
def test_health_is_listed_sorted_from_the_worst_and_exported(reader: FlaskClient, db: Database) -> None:
    measure(db, "T1", "no_mae")
    measure(db, "T2", "no_mae", "no_mfe_update")
    measure(db, "T3")
    answer = get(reader, f"{LIST}?sort=health&way=asc&direction=long")
    assert names(answer) == ["T2", "T1", "T3", "T0", "X"]
    assert answer.text.count("Not measured: hybrid sync has not looked") == 2
    assert 'class="health-fail" title="MAE unknown · MFE update overdue">0<' in answer.text
    assert 'class="health-warn" title="MAE unknown">67<' in answer.text
    assert 'class="health-pass">100<' in answer.text
    rows = csv.DictReader(io.StringIO(reader.get(f"{LIST}.csv?sort=health").text))
    found = {row["trade_id"]: (row["health_score"], row["gaps"]) for row in rows}
    assert (found["T1"], found["T3"], found["X"]) == (("67", "no_mae"), ("100", ""), ("", ""))


def test_the_heading_of_health_begins_with_the_worst() -> None:
    first = query.read_query({}).sorted_by("health")
    assert first.endswith("sort=health&way=asc")
    turned = query.read_query({"sort": "health", "way": "asc"}).sorted_by("health")
    assert turned.endswith("sort=health")


def test_the_join_to_the_scores_is_left_out_of_every_other_order(db: Database) -> None:
    for sort in states.SORTED_BY:
        given = asdict(Selection()) | asdict(Order(sort)) | {"streams": ["main"], "limit": 100, "is_unknown": False}
        given |= {"after_at": None, "after_value": None, "after_id": None, "after_stream": None}
        with db.transaction() as cur:
            cur.execute(f"EXPLAIN {states.SQL.list_keys}", given)
            plan = "\n".join(row[0] for row in cur.fetchall())
        assert ("signal_health_metrics" in plan) == (sort == "health"), plan


@pytest.mark.parametrize(
    ("ago", "open_trades", "now", "status"),
    [
        (timedelta(minutes=2), 1, OPEN, "pass"),
        (timedelta(minutes=5), 1, OPEN, "warn"),
        (timedelta(minutes=5), 0, OPEN, "pass"),
        (timedelta(minutes=90), 0, OPEN, "warn"),
        (timedelta(hours=30), 3, CLOSED, "quiet"),
        (None, 0, OPEN, "quiet"),
    ],
)
def test_silence_is_measured_against_the_hours_of_the_market(
    ago: timedelta | None, open_trades: int, now: datetime, status: str
) -> None:
    last = now - ago if ago is not None else None
    assert pulse.pulse(last, open_trades, now, cme_equity_calendar()).status == status


def test_a_weekend_is_no_silence() -> None:
    friday, sunday = datetime(2025, 12, 12, 21, 59, tzinfo=UTC), datetime(2025, 12, 14, 23, 1, tzinfo=UTC)
    assert pulse.pulse(friday, 1, sunday, cme_equity_calendar()).status == "pass"


@pytest.mark.parametrize(
    ("told_ago", "tick_ago", "is_connected", "now", "word"),
    [
        (1, 2, True, OPEN, "Feed live"),
        (1, 90, True, OPEN, "Feed silent"),
        (1, None, False, OPEN, "Feed away"),
        (300, 2, True, OPEN, "Feed away"),
        (None, None, False, OPEN, "Feed away"),
        (1, None, True, CLOSED, "Feed closed"),
        (None, None, False, CLOSED, "Feed closed"),
    ],
)
def test_a_feed_is_away_only_while_the_market_is_open(
    told_ago: int | None, tick_ago: int | None, is_connected: bool, now: datetime, word: str
) -> None:
    tick_at = (now - timedelta(seconds=tick_ago)).isoformat() if tick_ago is not None else None
    state = {"is_connected": is_connected, "last_tick_at": tick_at}
    told = (state, now - timedelta(seconds=told_ago)) if told_ago is not None else None
    assert pulse.feed(told, now, cme_equity_calendar(), has_feed=True).word == word
    assert pulse.feed(told, now, cme_equity_calendar(), has_feed=False).word == "No feed"


@pytest.mark.parametrize(
    ("score", "gaps", "minutes_ago", "status", "word"),
    [
        (96, 3, 1, "pass", "Health 96"),
        (79, 3, 1, "warn", "Health 79"),
        (96, 51, 1, "warn", "Health 96, 51 gaps"),
        (49, 3, 1, "fail", "Health 49"),
        (None, 0, 1, "quiet", "Health —"),
        (96, 3, 11, "warn", "Health unknown"),
    ],
)
def test_health_is_that_of_the_last_cycle(
    score: int | None, gaps: int, minutes_ago: int, status: str, word: str
) -> None:
    at = OPEN - timedelta(minutes=minutes_ago)
    found = pulse.health(SimpleNamespace(started_at=at, health_after=score, report={"gaps_after": gaps}), OPEN)
    assert (found.status, found.word) == (status, word)
    assert pulse.health(None, OPEN).status == "quiet"


def test_the_header_tells_of_alerts_feed_and_health(reader: FlaskClient, app: OpenAPI, db: Database) -> None:
    add(db, event("T", Kind.ENTRY))
    page = reader.get("/automated-signals").get_data(as_text=True)
    assert "No feed" in page
    assert "Hybrid sync has not looked yet." in page
    now = app.extensions["signalbook"].clock.now()
    with db.transaction() as cur:
        cycle = sync.start_cycle(cur, now=now, actor="service", tiers=[0])
        sync.finish_cycle(cur, cycle, now=now, scanned_until=now, report={"gaps_after": 4}, health_after=97)
    assert "Health 97" in reader.get("/automated-signals").get_data(as_text=True)


@pytest.mark.parametrize(("fires", "status"), [(0, "pass"), (11, "pass"), (12, "warn"), (15, "warn"), (16, "fail")])
def test_the_meter_warns_before_the_limit_of_alerts(fires: int, status: str) -> None:
    assert [meter.status for meter in pulse.meters(["main"], {"main": fires})] == [status]


def test_hostile_filters_are_shown_as_text(reader: FlaskClient, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY))
    answer = reader.get(LIST, query_string={"q": '"><script>alert(1)</script>'}, headers={"Accept": "text/html"})
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
