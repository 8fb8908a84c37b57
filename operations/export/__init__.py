"""Signals as files: tables for spreadsheets and programs, rows to learn from, and evidence to keep."""
