"""Delivers and files mail. Runs on the server; delivery goes through Postfix, filing through IMAP."""

import imaplib
import json
import smtplib
import time
from email.message import EmailMessage

task = json.loads(r"""@TASK@""")
FOLDERS = ["Archive", "Archive.2021", "Entw&APw-rfe", "Sent"]


def message(address: str, number: int) -> EmailMessage:
    made = EmailMessage()
    made["From"] = "Älpler <sender@visitor.example>"
    made["To"] = address
    made["Subject"] = f"Wool, lot {number} – für Sie"
    made["Message-ID"] = f"<fill-{number}-{address.replace('@', '-at-')}@visitor.example>"
    made["Date"] = "Sat, 01 Jan 2022 12:00:00 +0000"
    made.set_content(f"Lot {number}.\n" + "Four bales, washed.\n" * (number % 40) + "From here on: äöü\n")
    if number % 10 == 0:
        made.add_attachment(bytes(range(256)) * 80, maintype="image", subtype="x-sheep", filename="sheep.bin")
    return made


with smtplib.SMTP("127.0.0.1", 25, timeout=30) as smtp:
    for address in task["mailboxes"]:
        for number in range(task["delivered"]):
            smtp.send_message(message(address, number), "sender@visitor.example", [address])

for address, password in task["mailboxes"].items():
    imap = imaplib.IMAP4("127.0.0.1", 143, timeout=30)
    imap.login(address, password)
    separator = imap.list()[1][0].split(b'"')[1].decode()
    for folder in FOLDERS:
        imap.create(folder.replace(".", separator))
    imap.subscribe("Archive")
    for number in range(task["filed"]):
        folder = FOLDERS[number % len(FOLDERS)].replace(".", separator)
        flags = ("(\\Seen)", "(\\Seen \\Answered)", "(\\Flagged $Wool)", "")[number % 4 - 1]
        when = imaplib.Time2Internaldate(1641038400 + number * 3600)
        status, answer = imap.append(folder, flags, when, bytes(message(address, 1000 + number)))
        if status != "OK":
            raise SystemExit(f"{address}: {folder} takes no mail: {answer}")
    # Some are deleted, so that UIDs have gaps.
    imap.select("Sent")
    imap.store("2,5", "+FLAGS", "\\Deleted")
    imap.expunge()
    imap.close()
    give_up = time.monotonic() + 60
    while True:
        imap.select("INBOX")
        arrived = len(imap.search(None, "ALL")[1][0].split())
        if arrived >= task["delivered"]:
            break
        if time.monotonic() > give_up:
            raise SystemExit(f"{address}: {arrived} of {task['delivered']} messages arrived")
        time.sleep(0.1)
    imap.store("1:10", "+FLAGS", "\\Seen")
    imap.close()
    imap.logout()
