"""Healing: what own bars and other evidence say about missing facts, and how far that is to be trusted."""
