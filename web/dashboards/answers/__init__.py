"""The shapes of the signal API's answers, for its description; a test holds real answers against them."""
