"""The connection to the signal server: its messages, one connection, and the thread that keeps one open."""
