"""The month of signals: a cell a New York day, a total a week."""
