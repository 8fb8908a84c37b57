"""Alerts of a drill's own, so that an outage is rehearsed under traffic also on a quiet market's day."""

from __future__ import annotations

from flask import Flask

# Always the same bytes: within 25 seconds they are repeats, which count as one alert for the throttle's sake.
ALERT = b'{"event_type": "HEARTBEAT", "sent_by": "the outage drill"}'


def send_alert(app: Flask, token: str | None) -> None:
    """Post one alert through the whole app to the demo's webhook; without a token of the settings there is no address."""
    if token is not None:
        app.test_client().post(f"/api/automated-signals/webhook/{token}", data=ALERT, content_type="application/json")
