"""The pages of signals say what the state says: no more, no less, and never as markup."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, get_args
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from automated_signals_state import Status
from core.lifecycle import Kind, Source
from database.engine import Database
from tests.support_http import PAGE, get, listed, words
from tests.support_signals import MINUTE, START, add, event, mfe
from web.dashboards import flags, life, presenting

HOSTILE = "<img src=x onerror=alert(1)>"


def test_an_empty_list_says_how_to_begin(reader: FlaskClient) -> None:
    answer = get(reader, "/automated-signals")
    assert "No signal has arrived yet" in words(answer)
    assert 'href="/connect"' in answer.text


def test_the_list_shows_a_trade_with_its_prices_and_excursions(reader: FlaskClient, db: Database) -> None:
    add(db, event("T1", Kind.SIGNAL_CREATED), event("T1", Kind.ENTRY, 2), mfe("T1", 3, "0.4", "0.4"))
    said = words(get(reader, "/automated-signals"))
    for text in (
        "T1",
        "MNQ1!",
        "Active",
        "▲ Bullish",
        "20500.50",
        "20490.00",
        "+0.40R",
        "\N{MINUS SIGN}0.25R",
        "NY AM",
    ):
        assert text in said
    assert "2025-12-10 09:30 EST" in said


def test_a_pending_signal_shows_dashes_and_no_zeros(reader: FlaskClient, db: Database) -> None:
    add(db, event("P1", Kind.SIGNAL_CREATED))
    said = words(get(reader, "/automated-signals"))
    assert "Pending" in said
    assert "0.00" not in said


def test_an_exit_be_is_a_badge_of_its_leg_while_the_trade_runs_on(reader: FlaskClient, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY), mfe("T1", 1, "1.2", "1.2"), event("T1", Kind.EXIT_BE, 2))
    said = words(get(reader, "/automated-signals?status=active"))
    assert re.search(r"T1 .* Active .* BE 0\.00R —", said)
    assert "T1" not in words(get(reader, "/automated-signals?status=completed"))


def test_every_tab_holds_its_statuses_and_counts_leave_phantoms_out(reader: FlaskClient, db: Database) -> None:
    add(
        db,
        event("A", Kind.ENTRY),
        event("C", Kind.ENTRY),
        event("C", Kind.EXIT_SL, 3),
        event("X", Kind.SIGNAL_CREATED),
        event("X", Kind.CANCELLED, 2),
        event("P", Kind.SIGNAL_CREATED),
        event("PH", Kind.SIGNAL_CREATED, market_state={"trend_regime": "Bearish"}),
    )
    found = {view.name: listed(get(reader, f"/automated-signals?status={view.name}")) for view in presenting.VIEWS}
    assert {name: {row.removeprefix("main/") for row in rows} for name, rows in found.items()} == {
        "all": {"A", "C", "X", "P", "PH"},
        "active": {"A"},
        "completed": {"C"},
        "cancelled": {"X"},
        "pending": {"P", "PH"},
    }
    assert "5 shown, 1 of them a phantom that counts nowhere" in words(get(reader, "/automated-signals"))
    assert "All Signals 4 Active 1 Completed 1 Cancelled 1 Pending 1" in words(get(reader, "/automated-signals"))


@pytest.mark.parametrize("path", ["?status=nonsense", "?before=nonsense", "?before=WzEsMiwzXQ"])
def test_an_address_that_means_nothing_is_refused(reader: FlaskClient, path: str) -> None:
    assert get(reader, f"/automated-signals{path}").status_code == 422


def test_paging_shows_every_signal_once_ties_and_missing_times_included(
    reader: FlaskClient, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.dashboards.routes.PAGE_SIZE", 3)
    for stream in ("one", "two"):
        add(db, *(event(f"T{number}", Kind.SIGNAL_CREATED, number // 3, stream=stream) for number in range(5)))
        add(db, *(event(f"U{number}", Kind.MFE_UPDATE, stream=stream, slot=START) for number in range(3)))
    expected = {
        f"{stream}/{name}" for stream in ("one", "two") for name in ("T0", "T1", "T2", "T3", "T4", "U0", "U1", "U2")
    }
    seen: list[str] = []
    path = "/automated-signals"
    for _ in range(20):
        answer = get(reader, path)
        seen += listed(answer)
        older = re.search(r'rel="next" href="([^"]+)"', answer.text)
        if not older:
            break
        path = html.unescape(older[1])
    assert sorted(seen) == sorted(expected)


def test_streams_can_be_chosen_when_there_are_several(reader: FlaskClient, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY), event("T2", Kind.ENTRY, stream="demo"))
    assert "All streams demo main" in words(get(reader, "/automated-signals"))
    assert listed(get(reader, "/automated-signals?stream=demo")) == ["demo/T2"]


def test_a_lone_stream_is_not_named(reader: FlaskClient, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY))
    assert "All streams" not in words(get(reader, "/automated-signals"))


def test_an_unknown_signal_is_404(reader: FlaskClient, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY))
    assert get(reader, "/automated-signals/T2").status_code == 404
    assert get(reader, "/automated-signals/T1?stream=other").status_code == 404


def test_an_id_in_two_streams_asks_which(reader: FlaskClient, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY), event("T1", Kind.ENTRY, stream="other"))
    answer = get(reader, "/automated-signals/T1")
    assert "2 streams have a signal of this id" in words(answer)
    assert "/automated-signals/T1?stream=other" in answer.text
    assert "stream other" in words(get(reader, "/automated-signals/T1?stream=other"))


def test_a_page_says_unknown_for_what_it_does_not_know(reader: FlaskClient, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY, entry_price=None, stop_loss=None))
    said = words(get(reader, "/automated-signals/T1"))
    for fact in ("Entry", "Stop", "Risk (1R)", "No-BE MFE", "MAE"):
        assert f"{fact} unknown" in said
    assert "0.00" not in said


def test_an_exit_be_before_1r_says_why_its_result_is_unknown(reader: FlaskClient, db: Database) -> None:
    add(
        db,
        event("T1", Kind.ENTRY),
        mfe("T1", 1, "0.3", "0.3"),
        event("T1", Kind.EXIT_BE, 2),
        event("T1", Kind.EXIT_SL, 4),
    )
    said = words(get(reader, "/automated-signals/T1"))
    assert "never reached +1R, so the stop cannot have stood at the entry" in said
    assert re.search(r"BE is said to have stood at the entry .* EXIT_BE .* unknown", said)
    assert re.search("No-BE stays at the original stop .* EXIT_SL .* \N{MINUS SIGN}1.00R", said)


def test_facts_that_did_not_come_live_name_their_source_and_confidence(reader: FlaskClient, db: Database) -> None:
    healed = event("T1", Kind.EXIT_SL, 9, source=Source.RECONCILED, confidence=Decimal("0.95"), event_time=START)
    add(db, event("T1", Kind.ENTRY), healed)
    assert "EXIT_SL reconciled 95.0%" in words(get(reader, "/automated-signals/T1"))


def test_events_link_to_their_delivery_and_tell_their_delay(reader: FlaskClient, db: Database) -> None:
    receipt = UUID(int=5)
    add(
        db,
        event("T1", Kind.ENTRY, receipt_id=receipt, received_at=START + MINUTE * 0.05, content_hash="abcdef0123456789"),
    )
    answer = get(reader, "/automated-signals/T1")
    assert f"/automated-signals-telemetry?receipt={receipt}" in answer.text
    assert re.search(r"ENTRY 2025-12-10 09:30 EST 2025-12-10 09:31:03 EST 3s live entry 20500\.50", words(answer))
    assert "abcdef01 " in words(answer)


def test_neighbours_are_the_signals_before_and_after(reader: FlaskClient, db: Database) -> None:
    add(db, *(event(f"T{number}", Kind.SIGNAL_CREATED, number) for number in range(3)))
    answer = get(reader, "/automated-signals/T1")
    assert 'rel="prev" data-key="[" href="/automated-signals/T0"' in answer.text
    assert 'rel="next" data-key="]" href="/automated-signals/T2"' in answer.text


def test_targets_stand_on_the_tick_grid_and_say_which_were_reached(reader: FlaskClient, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY), mfe("T1", 1, "1.1", "2.4"))
    said = words(get(reader, "/automated-signals/T1"))
    assert "1R 20511.00 ✓ reached 2R 20521.50 ✓ reached 3R 20532.00 4R" in said


def test_a_long_run_of_updates_is_folded_and_can_be_unfolded(reader: FlaskClient, db: Database) -> None:
    add(db, event("T1", Kind.ENTRY), *(mfe("T1", minute, "0.5", "0.5") for minute in range(1, 41)))
    assert "34 more updates" in words(get(reader, "/automated-signals/T1"))
    assert len(listed(get(reader, "/automated-signals/T1"))) == 8
    assert len(listed(get(reader, "/automated-signals/T1?events=all"))) == 41


def test_repairs_of_one_moment_are_listed_by_their_bars(reader: FlaskClient, db: Database) -> None:
    repaired: dict[str, Any] = {"source": Source.RECONCILED, "confidence": Decimal("0.8")}
    add(db, event("T1", Kind.ENTRY))
    add(db, *(replace(mfe("T1", 60, "0.5", "0.5"), slot=START + bar * MINUTE, **repaired) for bar in (5, 3, 4)))
    bars = re.findall(r"MFE_UPDATE 2025-12-10 (\d\d:\d\d) EST 2025", words(get(reader, "/automated-signals/T1")))
    assert bars == ["09:34", "09:35", "09:36"]


def test_hostile_texts_are_shown_as_text(reader: FlaskClient, db: Database) -> None:
    texts: dict[str, Any] = {"symbol": HOSTILE, "bias": HOSTILE, "session_label": HOSTILE, "timeframe": HOSTILE}
    documents: dict[str, Any] = {"setup": {"a": HOSTILE}, "htf_alignment": {HOSTILE: HOSTILE}}
    add(db, event("T1", Kind.ENTRY, **texts, **documents), event("T1", Kind.CANCELLED, 2, reason=HOSTILE))
    for path in ("/automated-signals", "/automated-signals/T1"):
        answer = get(reader, path)
        assert HOSTILE not in answer.text
        assert HOSTILE in words(answer)


def test_strangers_are_sent_to_the_login(client: FlaskClient) -> None:
    for path in ("/automated-signals", "/automated-signals/T1"):
        assert "/login" in client.get(path, headers=PAGE).headers["Location"]


def test_every_flag_of_the_state_is_explained() -> None:
    named = ("orphan", "phantom", "entry_missing", "exit_be_without_1r", "exit_be_missing", "two_exits", "repaired")
    for name in (*named, "cancelled_but_entered", "signal_time_from_id", "entry_equals_stop", "stop_on_wrong_side"):
        assert name in flags.FLAGS
    for name in ("stop_loss_missing", "direction_conflict", "mae_global_r_clamped", "event_time_false_utc"):
        assert "Marked by the service" not in flags.explain(name).sentence
    assert flags.explain("signals/3/mae_global_r_missing").label == "signals/3: no MAE"


def test_short_runs_are_not_folded() -> None:
    rows = [SimpleNamespace(event_type="MFE_UPDATE", revoked_at=None) for _ in range(13)]
    assert list(life.folded(rows)) == rows


def test_every_status_of_the_state_has_its_word_and_its_tab() -> None:
    tabs = {status for view in presenting.VIEWS for status in view.statuses}
    assert set(get_args(Status)) == tabs == set(presenting.STATUS_WORDS) == set(presenting.STATUS_TITLES)
