"""Stand-ins for the outside world, for the demo and the tests: an alert sender, a gateway, a wave server."""
