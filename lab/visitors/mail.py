"""A sender of mail: `python -m lab.visitors.mail --log FILE --box ACCOUNT=ADDRESS --resolver IP`

Sends RATE messages a second, to one mailbox after the other, on port 25, each with a Message-ID of its own.
It does as a mail server does: what is deferred (4xx, no connection) is tried again, for 10 minutes. One JSON
line a message, once its fate is known: {"t": first try (Unix), "s": seconds until accepted, "account",
"kind": "mail", "id", "to", "tries", "status", "ok", "error"?}.
"""

from __future__ import annotations

import argparse
import os
import smtplib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from itertools import cycle
from pathlib import Path

from lab.visitors.log import Log, stopping
from lab.visitors.names import Fixed, Names

TIMEOUT = 600.0
RETRY = 2.0
"""Seconds between two tries; servers wait minutes, and the lab has none to spare."""
SENDER = "visitor@visitor.example"


def send(names: Names | Fixed, address: str, message: EmailMessage, stop: threading.Event) -> dict:
    """Sends until accepted or refused for good; gives the outcome as the log tells it."""
    began, tries = time.monotonic(), 0
    text: bytes | str
    while True:
        tries += 1
        try:
            host = names.address(address.rpartition("@")[2], 6 if tries % 2 == 0 else 4)
            with smtplib.SMTP(host, 25, local_hostname="visitor.example", timeout=60) as smtp:
                smtp.send_message(message, SENDER, [address])
            return {"s": time.monotonic() - began, "tries": tries, "status": 250, "ok": True}
        except smtplib.SMTPRecipientsRefused as error:
            status, text = error.recipients[address]
        except smtplib.SMTPResponseException as error:
            status, text = error.smtp_code, error.smtp_error
        except (OSError, LookupError, smtplib.SMTPException) as error:
            status, text = 400, f"{type(error).__name__}: {error}"
        answer = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        outcome = {"s": time.monotonic() - began, "tries": tries, "status": status, "error": answer[:200]}
        if status >= 500 or time.monotonic() - began > TIMEOUT:
            return outcome | {"ok": False}
        if stop.wait(RETRY):
            return outcome | {"ok": None}  # its fate is open: neither delivered nor lost


def letter(address: str, identity: str) -> EmailMessage:
    """A message that can be told from every other."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = SENDER, address, f"A visit ({identity})"
    made["Message-ID"] = f"<{identity}@visitor.example>"
    made.set_content("Grüezi!\n")
    return made


def main() -> None:
    """The command line; runs until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--box", action="append", required=True, help="ACCOUNT=ADDRESS; may be repeated")
    parser.add_argument("--rate", type=float, default=2.0, help="messages a second")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--resolver")
    where.add_argument("--address", action="append")
    given = parser.parse_args()
    names = Names(given.resolver) if given.resolver else Fixed(given.address)
    log, stop = Log(given.log), stopping()
    run = f"mail-{os.getpid():x}{int(time.time()):x}"

    def deliver(number: int, account: str, address: str) -> None:
        identity = f"{run}-{number}"
        event = {"t": time.time(), "account": account, "kind": "mail", "id": identity, "to": address}
        outcome = send(names, address, letter(address, identity), stop)
        log.write(event | outcome | {"s": round(outcome["s"], 4)})

    with ThreadPoolExecutor(64) as pool:
        for number, box in enumerate(cycle(given.box)):
            if stop.wait(1 / given.rate):
                break
            pool.submit(deliver, number, *box.split("=", 1))
    log.close()


if __name__ == "__main__":
    main()
