"""What a trader needs to connect TradingView: the way there, a test, and how a script keeps within TradingView's limits."""
