"""How the process serves: the HTTP server, admission, drain, logs, metrics, health, and the secrets of the first start."""
