"""Every connection and every line of SQL of the service."""
