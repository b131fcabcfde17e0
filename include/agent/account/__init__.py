"""What an account is: its file and its state."""
