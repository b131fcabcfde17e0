"""The account `files`: 20,000 files of every awkward kind, three mailboxes with folders, a crontab."""

from __future__ import annotations

import json

from lab.accounts.certificates import put_certificates
from lab.accounts.filling import CONTENT, Filled, Server, account_file, new_password, password_hash

NAME, UID = "files", 2003
DOMAIN = f"{NAME}.example"
MAILBOXES = ("info", "shepherd", "wool.sales")
FILES = 20_000
DELIVERED, FILED = 40, 60
"""Messages a mailbox: delivered through Postfix into INBOX, and filed over IMAP into its folders."""
CRONTAB = """\
MAILTO=""
# counts what visitors left
* * * * * ls "$HOME/visits" | wc -l > "$HOME/visits.count"
@daily find "$HOME/tree" -name '*.tmp' -delete
30 4 1 * * printf '%s\\n' 100\\% done >> "$HOME/monthly.log"
"""


def fill(server: Server) -> Filled:
    """Creates and fills the account: files that https://files.example/ shows, and mail."""
    mailboxes = {f"{box}@{DOMAIN}": new_password() for box in MAILBOXES}
    statement = account_file(
        NAME,
        UID,
        mail={
            "domains": [DOMAIN],
            "mailboxes": [
                {"address": address, "password_hash": password_hash(password)}
                for address, password in mailboxes.items()
            ],
        },
    )
    put_certificates(server, statement)
    server.create(statement)

    root = f"{statement['home']}/{statement['sites'][0]['root']}"
    pages = {page: (CONTENT / "files" / page).read_bytes() for page in ("index.php", "visit.php")}
    server.write_as(NAME, root, pages)
    server.run_as(NAME, "python3", "-", str(FILES), input=(CONTENT / "files/fill_files.py").read_bytes())
    server.run("crontab", "-u", NAME, "-", input=CRONTAB)
    task = {"mailboxes": mailboxes, "delivered": DELIVERED, "filed": FILED}
    # The passwords go by stdin with the program: nothing of it in the list of processes.
    program = (CONTENT / "files/fill_mail.py").read_text()
    server.run_as(NAME, "python3", "-", input=program.replace("@TASK@", json.dumps(task)))

    connections = [
        {
            "conn_id": f"account_{NAME}_imap_{number}",
            "conn_type": "imap",
            "host": DOMAIN,
            "port": 143,
            "login": address,
            "password": password,
        }
        for number, (address, password) in enumerate(mailboxes.items(), start=1)
    ]
    filled = Filled(
        account=NAME,
        account_file=statement,
        look={
            "urls": [f"https://{DOMAIN}/", f"https://{DOMAIN}/hello.txt", f"http://www.{DOMAIN}/hello.txt"],
            "imap": [{"connection": connection["conn_id"]} for connection in connections],
        },
        connections=connections,
        mailboxes=mailboxes,
    )
    filled.save(server.state)
    return filled
