"""Bars become detected signals, one timeframe at a time, and their agreement becomes coordinated signals."""
