"""One trade as a picture: candles around it, its levels and events, and the paths of both legs in R."""
