"""The customers that `fill` puts on a classic server, and what others need to reach them."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass

from lab.accounts.certificates import certificate
from lab.accounts.filling import CONTENT, Filled, Server, new_password
from lab.accounts.wordpress import archive
from lab.classic import FOLDER

THERE = "/root/filling"
SECRETS = ("FTP_WEB1", "FTP_WEB2", "FTP_FLOCK", "DB_HERDERS", "DB_WOOL", "ADMIN", "MEMBER")
DELIVERED, FILED = 20, 20
"""Messages a mailbox: delivered through Postfix into INBOX, and filed over IMAP into its folders."""


@dataclass(frozen=True)
class Customer:
    """`boxes`: the secret of each mailbox's password, by address."""

    name: str
    home: str
    roots: dict[str, str]
    boxes: dict[str, str]


CUSTOMERS = (
    Customer(
        "web1",
        "/var/www/clients/client1/web1",
        {"herders.example": "web", "cheese.example": "cheese"},
        {"info@herders.example": "MAIL_INFO", "summer@herders.example": "MAIL_SUMMER"},
    ),
    Customer("web2", "/var/www/clients/client1/web2", {"wool.example": "web"}, {}),
    Customer("flock", "/home2/flock", {"flock.example": "web"}, {"dog@flock.example": "MAIL_DOG"}),
)


def fill(server: Server, web: str = "apache2") -> list[Filled]:
    """Runs `fill` on the server, for sites of this web server, and has mail delivered and filed. Raises FillError with
    a sentence."""
    secrets = {
        name: new_password()
        for name in (*SECRETS, *(secret for customer in CUSTOMERS for secret in customer.boxes.values()))
    }
    server.run("mkdir", "-p", "-m", "0700", THERE)
    server.run("tar", "-xf", "-", "--no-same-owner", "-C", THERE, input=_packed(server, secrets))
    server.run("sh", f"{THERE}/fill", THERE, web)
    server.run("rm", "-r", THERE)
    return [_filled(server, customer, secrets) for customer in CUSTOMERS]


def _packed(server: Server, secrets: dict[str, str]) -> bytes:
    """What `fill` finds in its folder."""
    files = {name: (CONTENT / "blog" / name).read_bytes() for name in ("fill.php", "visit.php", "wp-config.php")}
    files |= {"fill": (FOLDER / "fill").read_bytes(), "app.py": (CONTENT / "flock/app.py").read_bytes()}
    files |= {"wordpress.tar": archive(server.cache).read_bytes()}
    files |= {"secrets": "".join(f"{name}='{value}'\n" for name, value in secrets.items()).encode()}
    for domain in (domain for customer in CUSTOMERS for domain in customer.roots):
        files[f"certificates/{domain}.pem"] = certificate([domain, f"www.{domain}"], server.state)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o600
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def _filled(server: Server, customer: Customer, secrets: dict[str, str]) -> Filled:
    boxes = {address: secrets[name] for address, name in customer.boxes.items()}
    if boxes:
        task = {"mailboxes": boxes, "delivered": DELIVERED, "filed": FILED}
        program = (CONTENT / "files/fill_mail.py").read_text()
        server.run_as(customer.name, "python3", "-", input=program.replace("@TASK@", json.dumps(task)))
    sites = [{"domain": domain, "aliases": [f"www.{domain}"], "root": root} for domain, root in customer.roots.items()]
    filled = Filled(
        account=customer.name,
        account_file={"account": customer.name, "home": customer.home, "sites": sites},
        look={"urls": [f"https://{domain}/" for domain in customer.roots]},
        mailboxes=boxes,
    )
    filled.save(server.state)
    return filled
