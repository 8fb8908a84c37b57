"""What an attacker tries on a running app (table H of the faults): injection, scripts, headers, forged log lines, floods.

The other rows have tests of their own; docs/security/asvs.md names them all.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from flask_openapi3 import OpenAPI

from core.settings import Settings
from database import engine
from database.engine import PAGE_TIMEOUT_MS, Database
from tests.support_http import csrf_token, log_in
from tests.support_intake import TOKEN, WEBHOOK, await_stored, parts_of, running_app
from tests.test_policy import path_of, requests_of
from web.dashboards.analytics.gather import LONGEST_MS
from web.serving.logs import REDACTOR, init_logging

ENTRY = {"event_type": "ENTRY", "direction": "Bullish", "entry_price": 20500.25, "stop_loss": 20480.25}
SQL = (
    "'",
    '"',
    "';--",
    "' OR '1'='1",
    "1 OR 1=1",
    "1; DROP TABLE users;--",
    "') UNION SELECT name, password_hash FROM users--",
    "1' AND pg_sleep(5)--",
    "%27%20OR%201=1",
    "\\'; DELETE FROM users WHERE 't'='t",
    "created_at; DELETE FROM users",
    "(SELECT 1)",
    "-1 UNION ALL SELECT NULL,NULL--",
    "1/**/OR/**/1=1",
    "%(limit)s",
    "%s",
    "$1",
    ":y",
    "{0}",
    "\x00",
    "' || (SELECT password_hash FROM users LIMIT 1) || '",
    "99999999999999999999999",
    "NaN",
    "\u2019 OR 1=1",
    "asc; SELECT 1",
)
PARAMETERS = (
    *("limit", "before", "before_id", "after_id", "status", "stream", "dialect", "session", "direction", "q"),
    *("from", "to", "sort", "way", "month", "since", "contract", "timeframe", "days", "at", "known_at", "event_type"),
)
TRIED = 10
MARK = "xsscanary"
SCRIPTS = tuple(
    text.replace("X", MARK)
    for text in (
        "<script>X</script>",
        "<img src=x onerror=X>",
        "<svg/onload=X>",
        '"><script>X</script>',
        "'><img src=x onerror=X>",
        "<iframe srcdoc='<script>X</script>'>",
        "<a href=javascript:X>a</a>",
        "<body onload=X>",
        "</script><script>X</script>",
        "</title><script>X</script>",
        "</pre><script>X</script>",
        "</textarea><script>X</script>",
        "<!--><script>X</script>-->",
        "<math><mtext><script>X</script>",
        "<details open ontoggle=X>",
        "<input autofocus onfocus=X>",
        "<video><source onerror=X>",
        "<object data=javascript:X>",
        "<embed src=javascript:X>",
        "<form action=javascript:X><button>",
        "<link rel=stylesheet href=//X>",
        "<meta http-equiv=refresh content=0;url=//X>",
        "<base href=//X>",
        "<style>@import'//X';</style>",
        '" onmouseover=X x="',
        "' onmouseover=X x='",
        "` onmouseover=X `",
        "{{ X }}",
        "{% X %}",
        "${X}",
        "<%= X %>",
        "&lt;script&gt;X&lt;/script&gt;",
        "&#60;script&#62;X",
        "<scr<script>ipt>X",
        "<SCRIPT>X</SCRIPT>",
        "<script\x0bsrc=//X>",
        "<script/src=//X>",
        "<<script>X//<</script>",
        "<img src=`X`onerror=X>",
        "<img src='x' onerror='X'>",
        "<table background=javascript:X>",
        "<div style=width:expression(X)>",
        "<marquee onstart=X>",
        "<select autofocus onfocus=X>",
        "<keygen autofocus onfocus=X>",
        "<button formaction=javascript:X>",
        "<isindex action=javascript:X>",
        "<svg><animate onbegin=X>",
        "<svg><a xlink:href=javascript:X>",
        "<noscript><p title='</noscript><img src=x onerror=X>'>",
        "<template><script>X</script></template>",
        "<audio src onloadstart=X>",
        "<xmp><script>X</script></xmp>",
        "<plaintext>X",
        "\u2028<script>X</script>",
        "\ufeff<script>X</script>",
        "\uff1cscript\uff1eX",
        "<a href='data:text/html,X'>",
        "<a href=vbscript:X>",
        "]]><script>X</script>",
    )
)


class Parts(HTMLParser):
    """What a page is made of: every name of an element and attribute, and attributes that lead somewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names += [tag, *(name for name, _ in attrs)]
        leads = {"href", "src", "action", "formaction", "data", "style", "srcdoc"}
        self.targets += [value or "" for name, value in attrs if name in leads]


@pytest.fixture
def app(settings: Settings, db: Database) -> Iterator[OpenAPI]:
    with running_app(settings, db) as running:
        yield running


def post_alert(client: FlaskClient, **alert: object) -> int:
    return client.post(WEBHOOK, data=json.dumps(alert).encode()).status_code


def pages_of(app: OpenAPI) -> list[str]:
    """Every path that can be looked at, those with a part to fill in included; the stream never ends."""
    paths = {path_of(rule) for rule, method in requests_of(app) if method == "GET"}
    return sorted(path for path in paths if path != "/api/stream")


def test_no_text_in_an_address_reaches_sql(app: OpenAPI, reader: FlaskClient, db: Database) -> None:
    failed, asked = [], 0
    for number, path in enumerate(pages_of(app)):
        tried = [SQL[(number + place) % len(SQL)] for place in range(TRIED)] + ["\x00"] * 5
        for place, payload in enumerate(tried):  # over the paths, every payload meets every parameter
            names = PARAMETERS[place % 5 :: 5]
            query = "&".join(f"{name}={quote(payload)}" for name in names)
            status = reader.get(f"{path}?{query}", headers={"Accept": "application/json"}).status_code
            asked += 1
            if status >= 500 and path not in ("/readyz", "/metrics"):
                failed.append(f"{status} {path}?{query}")
    assert failed == []
    assert asked >= 500
    with db.transaction() as cur:
        cur.execute("SELECT count(*) FROM users")
        assert cur.fetchone() == (1,)


def test_no_text_of_a_form_or_path_reaches_sql(app: OpenAPI, reader: FlaskClient, db: Database) -> None:
    token = csrf_token(reader, "/about/licences")
    for payload in SQL:
        for path in ("/connect/rotate", "/connect/test", "/preferences", "/account/second-factor/remove"):
            form = dict.fromkeys(("stream", "name", "next", "token", "code", "password"), payload)
            assert reader.post(path, data=form | {"csrf_token": token}).status_code < 500
        for path in ("/automated-signals/{}", "/api/automated-signals/trade/{}", "/api/automated-signals/telemetry/{}"):
            assert reader.get(path.format(quote(payload, safe=""))).status_code < 500
        log_in(app.test_client(), payload, payload)
    with db.transaction() as cur:
        cur.execute("SELECT count(*) FROM users")
        assert cur.fetchone() == (1,)


def test_scripts_in_alerts_are_shown_as_text_on_every_page(app: OpenAPI, reader: FlaskClient) -> None:
    assert len(SCRIPTS) == 60
    for number in range(0, 60, 6):
        some = SCRIPTS[number : number + 6]
        fields = ("symbol", "session", "bias", "exit_reason", "timeframe", "event_id")
        nested = {"setup": dict.fromkeys(some, some[0]), "htf_alignment": {"daily": some[1]}}
        trade = {"trade_id": f"20251120_{number:06d}000_BULLISH", "market_state": {"trend_regime": some[2]}}
        assert post_alert(reader, **ENTRY, **dict(zip(fields, some, strict=True)), **nested, **trade) == 200
        post_alert(reader, **ENTRY, trade_id="".join(some))
        reader.post(WEBHOOK, data="".join(some).encode())
        reader.post("/connect/test", data={"stream": some[0], "csrf_token": csrf_token(reader, "/about/licences")})
    await_stored(app)
    with parts_of(app).db.transaction() as cur:
        cur.execute("SELECT id FROM telemetry_automated_signals_log ORDER BY id")
        deliveries = [f"/automated-signals-telemetry?delivery={row.id}" for row in cur.fetchall()]
    trades = [f"/automated-signals/20251120_{number:06d}000_BULLISH" for number in range(0, 60, 6)]
    shown = 0
    for path in [*pages_of(app), *trades, *deliveries]:
        answer = reader.get(path, headers={"Accept": "text/html"})
        if answer.mimetype == "text/html":
            shown += MARK in answer.text
            assert_no_script(answer.text, path)
    assert shown >= 40


def assert_no_script(page: str, path: str) -> None:
    parts = Parts()
    parts.feed(page)
    assert not [name for name in parts.names if name.startswith("on") or MARK in name], path
    foreign = {"iframe", "object", "embed", "base", "math", "marquee", "video", "audio", "img", "animate"}
    assert not foreign & set(parts.names), path
    for target in parts.targets:
        assert not target.strip().lower().startswith(("javascript:", "vbscript:", "data:", "//")), path


def test_every_answer_of_every_route_carries_the_headers_and_allows_no_other_origin(
    app: OpenAPI, reader: FlaskClient
) -> None:
    asked = 0
    for rule, method in requests_of(app):
        if rule.rule in ("/api/stream", "/logout"):
            continue
        answer = reader.open(path_of(rule), method=method, headers={"Origin": "https://evil.example"})
        asked += 1
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"], rule
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] in ("private, no-cache", "no-store"), rule
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")], rule
    assert asked >= 60


def test_errors_tell_nothing_of_the_inside(app: OpenAPI, reader: FlaskClient) -> None:
    inside = ("Traceback", 'File "/', "psycopg", "sqlalchemy", "SELECT ", "INSERT ", "/site-packages/", "web_server.py")
    for path in pages_of(app):
        for query in ("?limit=x&before=x&stream=%00&month=13", "?before_id=x&sort=x&at=x&contract=%F0%28"):
            answer = reader.get(path + query, headers={"Accept": "application/json"})
            if answer.status_code >= 400:
                assert not [word for word in inside if word in answer.text], path


def test_keys_nobody_knows_have_no_effect(app: OpenAPI, reader: FlaskClient, db: Database) -> None:
    hooks = {"__class__": "os.system", "debug": True, "$where": "1", "is_admin": True, "role": "operator", "id": 1}
    more = {"received_at": "2001-01-01", "stream": "other", "data_source": "import", "source": "import", "_sql": "x"}
    assert post_alert(reader, **ENTRY, **hooks, **more, trade_id="T1") == 200
    await_stored(app)
    with db.transaction() as cur:
        cur.execute("SELECT stream, data_source, received_at > '2020-01-01' FROM automated_signals")
        assert [tuple(row) for row in cur.fetchall()] == [("main", "live", True)]


@pytest.mark.parametrize(
    "text",
    [
        "\r\n{forged}",
        "\n{forged}",
        "\r{forged}",
        "\u2028{forged}",
        "\u2029{forged}",
        "\x85{forged}",
        "\x0b{forged}",
        "\x0c{forged}",
        "\x1b[2K{forged}",
        '"}\n{forged}',
        '\\"}\n{forged}',
        "%0d%0a{forged}",
        "\x00{forged}",
        "\ud800{forged}",
        "\x7f{forged}",
        "\t{forged}",
        "a" * 5000 + "\n{forged}",
        "</script>\n{forged}",
        "${jndi:ldap://x}\n{forged}",
        "\n\n\n{forged}",
    ],
)
def test_a_forged_log_line_stays_inside_its_own(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        init_logging(settings)
        logging.getLogger("test").info("request", extra={"user_agent": text, text[:20]: 1})
        logging.getLogger("test").info("said %s", text)
    finally:
        root.handlers[:], root.level = before[0], before[1]
        REDACTOR.add()
    lines = capsys.readouterr().out.encode("utf-8", "surrogatepass").split(b"\n")[:-1]
    assert len(lines) == 2
    assert all(json.loads(line)["logger"] == "test" for line in lines)


FILLINGS = (
    "INSERT INTO telemetry_automated_signals_log (stream, received_at, status, raw_payload)"
    " SELECT 'main', now(), 'quarantined', '{}' FROM generate_series(1, 6000)",
    "INSERT INTO trade_states (stream, trade_id, status, first_received_at, last_received_at)"
    " SELECT 'main', 't' || n, (ARRAY['ACTIVE', 'PENDING', 'CANCELLED', 'COMPLETED'])[n % 4 + 1], now(), now()"
    " FROM generate_series(1, 24000) AS n",
    "INSERT INTO sync_gaps (stream, trade_id, gap_type, first_seen_at)"
    " SELECT 'main', 't' || n, 'no_mae', now() FROM generate_series(1, 6000) AS n",
    "INSERT INTO sync_audit_log (stream, trade_id, action_type)"
    " SELECT 'main', 't1', 'gap_detected' FROM generate_series(1, 6000)",
    "INSERT INTO monitoring.events (event_type) SELECT 'x' FROM generate_series(1, 6000)",
    "INSERT INTO deleted_signals (stream, trade_id, was, reason, deleted_by, deleted_at)"
    " SELECT 'main', 'd' || n, '{}', 'x', 'ann', now() FROM generate_series(1, 6000) AS n",
    "INSERT INTO waves (wave_time, status) SELECT '2025-01-01'::timestamptz + n * interval '15 minutes', 'not_found'"
    " FROM generate_series(1, 6000) AS n",
)
MOST_ROWS = 5000


def longest_list(document: object) -> int:
    """Items of the longest list anywhere in a JSON document."""
    inside = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return max([len(document) if isinstance(document, list) else 0, *map(longest_list, inside)])


def test_every_list_has_an_end(app: OpenAPI, reader: FlaskClient, db: Database) -> None:
    with db.transaction() as cur:
        for filling in FILLINGS:
            cur.execute(filling)
    longest = {}
    for path in pages_of(app):
        if path.startswith("/api/"):
            for query in ("", "?limit=500", "?limit=5000", "?limit=100000000"):
                answer = reader.get(path + query, headers={"Accept": "application/json"})
                assert answer.status_code in (200, 400, 404, 422), path
                assert len(answer.data) < 2_000_000, path
                longest[path + query] = longest_list(answer.get_json(silent=True))
    assert max(longest.values()) <= MOST_ROWS
    assert sum(length >= 500 for length in longest.values()) >= 4, longest  # the tables were full enough


REPORTS = {  # figures over all trades of a time
    "/api/automated-signals/analytics": LONGEST_MS,
    "/automated-signals-analytics": LONGEST_MS,
    "/params/evaluation": 60_000,
}


def test_every_statement_of_what_only_looks_ends_within_five_seconds_but_in_reports(
    app: OpenAPI, reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: dict[str, set[int]] = {}
    asked = ""

    def noted(*given: Any, **options: Any) -> None:
        limits.setdefault(asked, set()).add(options.get("statement_timeout_ms", engine.STATEMENT_TIMEOUT_MS))
        set_session(*given, **options)

    set_session = engine.set_session
    monkeypatch.setattr(engine, "set_session", noted)
    for asked in pages_of(app):
        reader.get(asked)
    assert PAGE_TIMEOUT_MS <= 5_000
    assert len(limits) >= 30
    longer = {path: max(found) for path, found in limits.items() if found != {PAGE_TIMEOUT_MS}}
    assert longer.items() <= REPORTS.items()
    assert longer


def test_what_a_request_may_take_binds_nobody_after_it(app: OpenAPI, reader: FlaskClient, db: Database) -> None:
    reader.get("/automated-signals")
    with db.transaction() as cur:
        cur.execute("SELECT setting::int FROM pg_settings WHERE name = 'statement_timeout'")
        assert cur.fetchone() == (engine.STATEMENT_TIMEOUT_MS,)


def test_odd_tokens_are_refused_without_a_fault(client: FlaskClient) -> None:
    odd = ("\u00fc" * 10, "a" * 5000, "%00", "..%2f..", "\U0001f600", "'", TOKEN[:-1], TOKEN + "x", TOKEN.upper())
    for number in range(1000):
        token = odd[number % len(odd)] + str(number)
        assert client.post(f"/api/automated-signals/webhook/{quote(token)}", data=b"{}").status_code == 404
