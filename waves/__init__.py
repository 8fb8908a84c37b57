"""The wave feed: strategy parameters per exchange, their history, alarms and overrides. No order is ever sent."""
