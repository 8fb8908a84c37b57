"""The gateway's REST API as the service uses it."""
