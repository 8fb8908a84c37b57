"""Analytics of completed trades: what the numbers say, how many they rest on, and how sure they are."""
