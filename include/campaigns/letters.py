"""Reminders as mail: what a customer reads, and how it is sent."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from email.message import EmailMessage
from typing import Any, Protocol

SECONDS = 20
TEXTS = {
    "opening": (
        "{title}: your account {account} can be tested",
        "your account {account} can be tested on {title} from now on: a copy of it, at an address of its own, and a "
        "report on what would be otherwise. Perform it when you are ready; nothing stops meanwhile. What is not "
        "performed by {deadline} is performed by us.",
    ),
    "end": (
        "{title}: we perform your account {account}",
        "the time to perform {title} for your account {account} is over ({deadline}). We do it for you in one of the "
        "next days: its sites, mail and databases go on, and you need do nothing. Where its test finds something that "
        "would stop working, we tell you and leave it as it is.",
    ),
}
BEFORE = (
    "{title}: {how_long} for your account {account}",
    "your account {account} is to be on {title} by {deadline}. Test it first, in your panel: a copy of it, at an "
    "address of its own, and a report on what would be otherwise. Then perform it, at a time of your own; nothing "
    "stops meanwhile. After that day we perform it for you.",
)
HOW_LONG = {"1_day": "the last day", "7_days": "a week left", "30_days": "a month left"}


class Message(Protocol):
    """A row of the registry's outbox."""

    key: str
    payload: Mapping[str, Any]


def letter(message: Message, sender: str) -> EmailMessage:
    """The mail of a reminder. Its Message-ID is the reminder's own, so that one that was sent twice is seen once."""
    payload = message.payload
    reminder = payload["reminder"]
    words = {
        "title": payload["title"],
        "account": payload["account"],
        "deadline": _day(payload["deadline"]),
        "how_long": HOW_LONG.get(reminder, f"{reminder.replace('_', ' ')} left"),
    }
    subject, text = (part.format(**words) for part in TEXTS.get(reminder, BEFORE))
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject, sender, payload["to"]
    mail["Message-ID"] = f"<{message.key}@{sender.rpartition('@')[2].strip('> ')}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"Hello,\n\n{text}\n")
    return mail


def _day(text: str | None) -> str:
    return f"{date.fromisoformat(text):%-d %B %Y}" if text else "a day that we tell you in time"


@dataclass(frozen=True)
class Mailer:
    """Where mail is handed in, and as whom. `security`: starttls, tls, or none (a server of the host's own)."""

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    security: str = "starttls"

    @contextmanager
    def session(self) -> Iterator[Any]:
        """A session of several mails: it gives what `hand_on` wants, None for a mail that was taken."""
        context = ssl.create_default_context()
        with self._connected(context) as smtp:
            if self.security == "starttls":
                smtp.starttls(context=context)
            if self.user:
                smtp.login(self.user, self.password or "")

            def send(message: Message) -> str | None:
                try:
                    smtp.send_message(letter(message, self.sender))
                except (smtplib.SMTPException, OSError, ValueError) as error:
                    return f"{type(error).__name__}: {error}"[:300]
                return None

            yield send

    def _connected(self, context: ssl.SSLContext) -> smtplib.SMTP:
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=SECONDS)
