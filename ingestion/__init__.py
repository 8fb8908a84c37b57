"""Market data: the gateway's ticks and history become bars; the service's own witness of what price did."""
