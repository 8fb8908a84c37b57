"""Deleting signals softly, with a reason and an undo."""
