"""The account's PostgreSQL databases."""
