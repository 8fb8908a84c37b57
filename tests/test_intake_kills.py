"""kill -9 at any moment: no acknowledged alert is lost and none is stored twice. The control build loses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from database.engine import Database
from telemetry.history.rebuild import rebuild
from telemetry.journal.crash_points import POINTS
from tests.intake_rig import Cluster, Report, Rig, cluster, control_rig, rig, until

REPEATED = """
SELECT stream, trade_id, event_type, source_rank FROM automated_signals
WHERE event_type <> 'MFE_UPDATE' AND revoked_at IS NULL GROUP BY 1, 2, 3, 4 HAVING count(*) > 1
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


def kill(running: Rig, cycles: int) -> Report:
    """Every named crash point once, the other cycles at random moments; then judge what is left."""
    with running.clients():
        running.crash_at_each_point()
        running.kill_cycles(cycles - len(POINTS))
    report = running.finish()
    assert report.cycles == cycles
    assert report.acked > 10 * cycles
    assert (report.lost, report.doubles) == (0, 0)
    assert set(report.statuses) == {200}
    return report


def judge_state(running: Rig) -> None:
    """Events are each there once, and the states are what the deliveries give."""
    assert running.ask(REPEATED) == []
    db = Database(running.url, pool_size=1)
    assert rebuild(db, is_dry_run=True).is_unchanged
    db.close()


def leftovers(running: Rig) -> int:
    return len(list((running.running.data_dir / "journal").glob("*.seg")))


@pytest.mark.timeout(300)
def test_thirty_kills_lose_nothing_and_store_nothing_twice(server: Cluster) -> None:
    with rig(server, seed=30) as running:
        report = kill(running, 30)
        assert report.drain_seconds < 10
        judge_state(running)
        until(lambda: leftovers(running) <= 1, 15)


def test_a_build_that_stores_after_the_answer_loses_in_the_same_rig(server: Cluster) -> None:
    with control_rig(server, seed=30) as running:
        with running.clients(16, pause=0.001):
            running.kill_cycles(8, stored=None)
        report = running.finish(may_lose=True)
    assert report.lost > 0


@pytest.mark.soak
def test_a_thousand_kills_lose_nothing_and_store_nothing_twice(server: Cluster) -> None:
    with rig(server, seed=1000) as running:
        kill(running, 1000)
        judge_state(running)
