"""Certificates that sign pictures, made for a test: a root and one that it issued."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier


@dataclass(frozen=True)
class Pair:
    """A certificate chain and its private key, PEM."""

    chain: bytes
    key: bytes

    def write(self, folder: Path) -> tuple[str, str]:
        """Both as files; their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "chain.pem").write_bytes(self.chain)
        (folder / "key.pem").write_bytes(self.key)
        return str(folder / "chain.pem"), str(folder / "key.pem")


def make(
    *,
    days: int = 30,
    usage: ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    curve: ec.EllipticCurve | None = None,
) -> Pair:
    """A pair that is valid from ten days ago for `days` from now, which may be negative."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(curve or ec.SECP256R1())
    root = (
        _begun("Root of the tests", root_key, days)
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(_usage(signs_certificates=True), True)
        .sign(root_key, hashes.SHA256())
    )
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    own = (
        _begun("Signer of the tests", key, days)
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(_usage(signs_certificates=False), True)
        .add_extension(x509.ExtendedKeyUsage([usage]), False)
        .add_extension(issuer, False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    chain = own.public_bytes(pem) + root.public_bytes(pem)
    form, secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Pair(chain, key.private_bytes(pem, form, secret))


def _begun(name: str, key: ec.EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name("Root of the tests"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )


def _name(common: str) -> x509.Name:
    parts = {
        NameOID.COUNTRY_NAME: "XX",
        NameOID.ORGANIZATION_NAME: "limner",
        NameOID.COMMON_NAME: common,
    }
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts.items()])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
