"""What an account's own files of the host's configuration may say: root reads them, and what runs as root obeys them.

They come from another server, which may have been taken over, or whose customers may have been let write them. So each
kind of file has a judge that knows what is allowed: the directives, and values that name only what is the account's.
Whatever it does not know is refused, in a sentence that says where it stands and what to do. The judges run on the
server that the files come from as well, so that nobody hears of it only when an account moves.
"""
