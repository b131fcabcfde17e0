"""The key and the connection between the two servers of one move."""
