"""The cluster's certificate authority: one EC P-256 key that every master holds, valid for ten years.

Whoever has this key can be anybody in the cluster. It lives in memory of the masters and, mode 0600, in their state
directory (files.py). Time is an argument: nothing here reads a clock. Profile of the certificates: RFC 5280.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchestr8.errors import CorruptState, Unauthenticated

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey

CA_LIFE = dt.timedelta(days=3652)
# Clocks of hosts differ: a certificate is valid a little before it was made.
BACKDATED = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA certificate with its key. ``str()`` and ``repr()`` show no key."""

    certificate: x509.Certificate
    key: PrivateKey

    def __repr__(self) -> str:
        return f"Authority({self.certificate.subject.rfc4514_string()})"

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return key_to_pem(self.key)


def create(now: dt.datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "orchestr8"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"orchestr8 CA {now:%Y-%m-%d}"),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_CA_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def load(certificate_pem: bytes, key_pem: bytes) -> Authority:
    """Raises CorruptState if these two do not belong together."""
    certificate = certificate_from_pem(certificate_pem)
    key = key_from_pem(key_pem)
    if certificate.public_key() != key.public_key():
        raise CorruptState("the CA's key does not belong to its certificate: restore both from the same master")
    return Authority(certificate, key)


def spki_sha256(certificate_pem: bytes) -> str:
    """Hex SHA-256 of the certificate's public key: what a join token pins. Equal after the CA is re-issued."""
    try:
        public_key = certificate_from_pem(certificate_pem).public_key()
    except (UnsupportedAlgorithm, ValueError) as error:
        raise CorruptState(f"this certificate carries no key that can be read: {error}") from error
    der = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def check_issued(ca: x509.Certificate, certificate: x509.Certificate) -> None:
    """Raises Unauthenticated unless ``ca`` signed ``certificate``. Says nothing about its dates."""
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError) as error:
        raise Unauthenticated("this certificate was not issued by the cluster's CA") from error


def new_key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_from_pem(pem: bytes) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CorruptState(f"this is not a private key in PEM: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CorruptState("keys of this cluster are EC P-256; this one is another kind")
    return key


def certificate_from_pem(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise CorruptState(f"this is not a certificate in PEM: {error}") from error


_CA_USAGE = x509.KeyUsage(
    digital_signature=True,  # bearer tokens are signed with the same key
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)
