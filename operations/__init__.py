"""Running the service for a year: alarms, backups, retention, exports, evidence and rehearsals. Knows no other feature."""
