"""Live trades: one connection at a time, supervised, queued, pumped into the aggregators."""
