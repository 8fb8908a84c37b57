"""What guards the rest: the login's own page and second factor, strict requests, the log of actions, our proof of who we are."""
