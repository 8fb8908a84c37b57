"""What was sent, seen again: the import of alert logs, replay and rebuild."""
