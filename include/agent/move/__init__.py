"""The move of an account: the fence, the switch, what leads the rest to the other server."""
