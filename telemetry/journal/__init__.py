"""The journal: what makes a delivery durable on this disk before anything else is tried with it."""
