"""The account's files."""
