"""Agreement of signals across timeframes."""
