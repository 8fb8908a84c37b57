"""What other parameters would have done: a replay of stored signals under what was known at the time."""
