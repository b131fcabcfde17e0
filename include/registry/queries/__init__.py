"""What the board and the panel ask, a question a function. Nothing here changes anything."""
