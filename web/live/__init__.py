"""Live updates: one hub a process, fed by NOTIFY, read by browsers as server-sent events."""
