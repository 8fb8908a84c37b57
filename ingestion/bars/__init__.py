"""Ticks to bars and bars to larger bars; pure."""
