"""Deliveries: from the webhook to the journal, the delivery log and lifecycle events; alert-log import."""
