"""A program of an account's own behind its sites: it listens at ~/app.sock, and may have been started a moment ago."""

import os
import socket
import time

SECONDS = 25.0
"""How long the first visitors of an app that has just come wait for its program to listen; a page of a test is waited
for a little longer."""


def await_it() -> None:
    """Run as the account, which is the only one to follow where its home leads."""
    end, path = time.monotonic() + SECONDS, os.path.expanduser("~/app.sock")
    while time.monotonic() < end:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1)
            try:
                connection.connect(path)
                return
            except OSError:
                time.sleep(0.05)
