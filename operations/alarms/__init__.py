"""Alarms: facts are gathered, judged, and what changed is told once. One alarm a cause, one recovery."""
