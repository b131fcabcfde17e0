"""The keys and certificates that a front shows, each account's domains' by their names."""

import re
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..account.accounts import Account, all_accounts
from ..account.file_values import is_wildcard
from ..host.digest import printable
from ..host.system import CONFIG, RUNTIME, Refused, locked, refuse, run, write_if_changed
from .haproxy import HAProxy

CERTIFICATES = CONFIG / "certificates"
_CERTIFIED = re.compile(r"(?:DNS:|CN ?= ?)([^\s,]+)")


def certificates(account: Account) -> dict[str, str]:
    """Key and chain of each of the account's domains that has one here."""
    paths = ((domain, CERTIFICATES / f"{domain}.pem") for domain in account.domains)
    return {domain: path.read_text() for domain, path in paths if path.is_file()}


def _require_pair(domain: str, pem: str) -> None:
    """The text is a key, its certificate and chain, and names no host of another account here: the front picks a
    certificate by the names in it."""
    if not is_pair(pem):
        refuse(
            "bad_certificate",
            f"What came as the certificate of {domain} is not a key without a password, long enough for today, "
            "with its certificate and chain; install it again on the old server, or remove it there.",
        )
    named = run(
        ["openssl", "x509", "-noout", "-subject", "-ext", "subjectAltName", "-nameopt", "sep_multiline,utf8"],
        input=pem,
        check=False,
    )
    names = {name.lower() for name in _CERTIFIED.findall(named.stdout.decode(errors="replace"))}
    for account in all_accounts():
        foreign_hosts = [
            host
            for host in (*account.domains, *account.wildcards)
            if domain not in account.domains and ({host, _any_beside(host)} & names or _has_one_of(host, names))
        ]
        if foreign_hosts:
            refuse(
                "foreign_certificate",
                f"The certificate of {domain} is also one for {foreign_hosts[0]}, which is {account.name}'s here; "
                f"install one without that name on the old server.",
            )


def is_pair(pem: str) -> bool:
    """Whether the text is a key without a password, with its certificate and chain."""
    with tempfile.NamedTemporaryFile("w", prefix="certificate.", dir=RUNTIME) as file:
        file.write(pem)
        file.flush()
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file.name, password=lambda: "")
        except (ssl.SSLError, ValueError, OSError):
            return False
    return True


def _has_one_of(host: str, names: set[str]) -> bool:
    return is_wildcard(host) and any(name.endswith(host[1:]) for name in names)


def _any_beside(host: str) -> str:
    return f"*.{host.partition('.')[2]}"


@dataclass(frozen=True)
class Shown:
    """Those that the running front shows."""

    front: HAProxy

    def put_certificate(self, domain: str, pem: str) -> None:
        """Have the front use this key and chain for a domain, and keep them.

        What the running front does not take is not kept: a file that it cannot read would let it start no more."""
        CERTIFICATES.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(RUNTIME / "certificates.lock"):
            _require_pair(domain, pem)
            self.load(domain, pem)
            write_if_changed(CERTIFICATES / f"{domain}.pem", pem, 0o600)

    def load_certificates(self, account: Account) -> None:
        """Make the running front use the account's certificates, with no reload: a reload would part held requests."""
        for domain in certificates(account):
            with locked(RUNTIME / "certificates.lock"):
                self.load(domain, (CERTIFICATES / f"{domain}.pem").read_text())

    def load(self, domain: str, pem: str) -> None:
        """Have the running front show this one, whether it knew one of that name or not."""
        path = f"{CERTIFICATES}/{domain}.pem"
        listed = path in self.front.command(f"show ssl crt-list {CERTIFICATES}/").splitlines()
        if not listed:
            self.front.command(f"new ssl cert {path}")
        try:
            self.replace(path, pem)
        except Refused:
            if not listed:
                self.front.command(f"del ssl cert {path}")
            raise
        if not listed and "Success" not in (answer := self.front.command(f"add ssl crt-list {CERTIFICATES}/ {path}")):
            refuse("bad_certificate", f"HAProxy does not list the certificate of {domain}: {printable(answer[-200:])}")

    def replace(self, path: str, pem: str) -> None:
        """Have it show this one in the place of that file's. HAProxy takes one certificate at a time."""
        lines = "\n".join(line for line in pem.splitlines() if line.strip())
        self.front.command(f"set ssl cert {path} <<\n{lines}\n")
        if "Success" not in (answer := self.front.command(f"commit ssl cert {path}")):
            self.front.command(f"abort ssl cert {path}")
            called = Path(path).stem
            refuse("bad_certificate", f"HAProxy does not take the certificate of {called}: {printable(answer[-200:])}")

    def drop_certificates(self, account: Account) -> None:
        """Take the account's certificates out of the running front and off the disk."""
        for domain in certificates(account):
            self.drop(domain)

    def drop(self, domain: str) -> None:
        """The same of one domain's."""
        path = f"{CERTIFICATES}/{domain}.pem"
        self.front.command(f"del ssl crt-list {CERTIFICATES}/ {path}")
        self.front.command(f"del ssl cert {path}")
        Path(path).unlink()
