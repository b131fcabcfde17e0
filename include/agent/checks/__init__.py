"""What the report of a test looks for."""
