"""What others build bars with, run in environments of their own."""
