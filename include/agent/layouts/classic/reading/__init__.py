"""What a host's own configuration says of a server: who lives there, and what of it is not understood.

Nothing is guessed and nothing is changed. Whatever is read may hold customers' text.
"""
