"""The inventory: one document that says what the host has, and what has to change for the registry to say the same.

`python -m include.inventory` makes the document's schema, and documents out of what other tools know.
"""
