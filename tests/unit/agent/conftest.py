"""What tests of more than one part of the agent ask for."""

from tests.support.switching import asked  # noqa: F401  (a fixture)
