"""Hybrid sync: what should be known by now and is not, and what evidence says about it."""
