"""Backups: one file that holds the whole database as of one instant and the journal, and proves what it holds."""
