"""How a walk tells a home, for both servers of a move: a line an entry, of these fields, in so many buckets."""

FIELDS = ("type", "permissions", "owner", "group", "time", "size", "content", "hard links", "attributes")
BUCKETS = 4096
