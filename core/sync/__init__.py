"""What the pages, the alarms and hybrid sync say alike of gaps, repairs and health."""
