"""What people are told: in which state something is, what happens next, who must act, and what happened.

Sentences for a host's customers and for ops, made of what the registry knows. Nothing here changes anything.
"""
