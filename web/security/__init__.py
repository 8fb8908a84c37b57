"""The second factor, and who did what."""
