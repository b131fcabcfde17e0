"""The account's MariaDB databases."""
