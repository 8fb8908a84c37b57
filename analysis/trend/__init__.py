"""Where trends start: confirmed uptrend starts (CUS) and confirmed downtrend starts (CDS), one bar at a time."""
