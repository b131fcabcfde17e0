"""What holds an account's data: files, PostgreSQL, MariaDB."""
