"""What root keeps for an account: its Unix password and expiry, its crontab, its certificates, and its extras: its own
files of the host's configuration."""

import hashlib
import json
from dataclasses import replace
from typing import Any

from ..account.accounts import Account, state_of
from ..channel.peer import Peer
from ..host import lingering, system
from ..host.codec import plain
from ..host.scope import Scope
from ..host.system import Refused, refuse
from ..layouts import extras, front, mail
from ..verbs.peers import Extras, Identity, IdentityDigest
from ..verbs.verb import Asking, Nothing
from . import shell

SCOPE = Scope(
    what=(
        "the Unix password and its expiry, the crontab, whether units of its own run without a login, the key and chain"
        " of each certificate, and the account's own files of the host's configuration"
    ),
    how="a SHA-256 of each",
    when="all of it in the hold",
    without=(
        "Units of the host's systemd that run as the account, and its jobs of `at`: they are not carried.",
        "Log files of the server about the account: they stay with the server.",
        "The account that a server has at Let's Encrypt, by which a certificate is renewed: each server has its own.",
    ),
)


def scope(account: Account) -> Scope:
    """What is compared of this account."""
    if not account.provisioned:
        return SCOPE
    made = (
        "What the host's own provisioning makes of the account (its sites and pools of PHP): each server has its own."
    )
    return replace(SCOPE, without=(*SCOPE.without, made))


def send(account: Account, peer: Peer) -> None:
    """Make it the same on the peer, but for the extras."""
    peer.call(Identity(**read(account)))


def send_extras(account: Account, peer: Peer) -> None:
    """Make them the same on the peer; when the home is there, since the files speak of what is in it. What is not
    allowed in them is refused here, as it would be there."""
    require_extras(account)
    if account.extras:
        peer.call(Extras(extras=extras.read(account)))


def require_extras(account: Account) -> None:
    for sentence in extras.unfit(account):
        refuse("bad_extra", sentence)


def read(account: Account) -> dict[str, Any]:
    """The Unix password hash and expiry, the crontab and the certificates of the account."""
    password_hash, expiry = system.shadow_fields(account.name)
    state = state_of(account.name)
    aside = account.directory / "crontab"
    crontab = None
    for path in (aside, system.CRONTABS / account.name):
        if crontab is None and path.is_file():
            crontab = path.read_bytes().decode("utf-8", "surrogateescape")
    return {
        "password_hash": password_hash,
        # In a hold everybody is expired here; what was before is what must arrive.
        "expiry": state.saved.get("expiry", "") if state.state in ("held", "receiving") else expiry,
        "crontab": crontab,
        "lingers": lingering.is_on(account.name, account.lingers_aside),
        "certificates": front.certificates(account),
    }


def digest(account: Account) -> dict[str, Any]:
    """A hash of each part of the account's identity, the same on both sides when they are."""
    whole = {**read(account), "extras": plain(extras.read(account))}
    return {key: hashlib.sha256(json.dumps(whole[key]).encode()).hexdigest() for key in sorted(whole)}


def _take(account: Account, want: Identity, _asking: Asking) -> Nothing:
    known = read(account)
    if want.password_hash != known["password_hash"]:
        system.set_password_hash(account.name, want.password_hash)
    shell.expect_expiry(account.name, want.expiry)
    aside = account.directory / "crontab"
    if want.crontab is None:
        aside.unlink(missing_ok=True)
    elif want.crontab != known["crontab"]:
        system.write_durably(aside, want.crontab.encode("utf-8", "surrogateescape"))
    if want.lingers:
        system.write_durably(account.lingers_aside, "")
    else:
        account.lingers_aside.unlink(missing_ok=True)
    strange = sorted({*want.certificates} - {*account.domains})
    if strange:
        raise Refused("foreign_certificate", f"The domain {strange[0]!r} is not one of {account.name}'s.")
    if want.certificates != known["certificates"]:
        for domain, pem in want.certificates.items():
            front.put_certificate(domain, pem)
        mail.render(certificates=True)
    return Nothing()


def _take_extras(account: Account, want: Extras, _asking: Asking) -> Nothing:
    extras.install(account, want.extras)
    return Nothing()


PEER_VERBS = (Identity.served_by(_take), Extras.served_by(_take_extras), IdentityDigest.told_by(digest))
