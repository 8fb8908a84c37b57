"""Outage drills of the demo: the database or the feed is taken away for a minute, and what came meanwhile is accounted for."""
