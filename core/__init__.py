"""What everything else stands on: settings, time, calendar, errors, records. Standard library, pytz and pyyaml only."""
