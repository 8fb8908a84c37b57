"""Who is let in: the valid tokens, and the shortest way in for an alert that holds one in its URL."""
