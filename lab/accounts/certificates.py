"""A certificate authority of the lab's own, and certificates of the accounts' sites signed by it."""

from __future__ import annotations

import datetime
import fcntl
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.accounts.filling import Server
from lab.state import STATE

VALID = datetime.timedelta(days=825)


def authority(state: Path = STATE) -> Path:
    """The CA's certificate (PEM) in the lab's state; made on first use, also when several ask at once."""
    folder = state / "ca"
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ca.pem").exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name("Transhumance lab CA")
            certificate = (
                _builder(name, name, key)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(_usage(certificates=True), critical=True)
                .sign(key, hashes.SHA256())
            )
            _write_private(folder / "ca.key", _pem(key))
            (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder / "ca.pem"


def certificate(names: list[str], state: Path = STATE) -> bytes:
    """A new key and certificate for `names` (host names or addresses), one PEM as HAProxy takes it."""
    ca_path = authority(state)
    ca = x509.load_pem_x509_certificate(ca_path.read_bytes())
    ca_key = serialization.load_pem_private_key((ca_path.parent / "ca.key").read_bytes(), password=None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        _builder(_name(names[0]), ca.subject, key)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return _pem(key) + made.public_bytes(serialization.Encoding.PEM) + ca_path.read_bytes()


def put_certificates(server: Server, account_file: dict) -> None:
    """Gives the server a certificate for each site of the account, before the account is created."""
    for site in account_file["sites"]:
        pem = certificate([site["domain"], *site["aliases"]], server.state)
        path = f"/etc/transhumance/certificates/{site['domain']}.pem"
        server.run("install", "-D", "-m", "0600", "/dev/stdin", path, input=pem)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(data)
