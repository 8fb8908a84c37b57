"""How good the stored data is: deliveries, quarantine, flags, deletions, and what is not known here."""
