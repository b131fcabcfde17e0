"""The copy of an account that its customer tests."""
