"""A stand-in for the futures gateway: REST API, SignalR market hub, made-up trades, scriptable faults."""
