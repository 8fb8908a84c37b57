"""HTTP that belongs to no feature: login, pages, event stream, health, metrics, error mapping, admission."""
