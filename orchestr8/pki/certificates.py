"""Identities: who gets which name, roles and uses in a certificate, and for how long.

    who        CN                    O                          used as
    master     system:master:NAME    system:masters-internal    server and client, with its addresses
    node       system:node:NAME      system:nodes               client only: it can never pose as a master
    admin      kubernetes-admin      system:masters             client
    viewer     NAME                  orchestr8:viewers          client

CN and O are user and groups to the API server, as in Kubernetes (Authentication, X509 client certificates), and name
and roles of a ``rpc.Peer``. Time is an argument.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from orchestr8.errors import BadRequest
from orchestr8.pki.ca import BACKDATED, Authority, PrivateKey, PublicKey, certificate_from_pem
from orchestr8.rpc.service import MASTERS, NODES

LEAF_LIFE = dt.timedelta(days=90)
PERSON_LIFE = dt.timedelta(days=365)

ADMINS = "system:masters"
VIEWERS = "orchestr8:viewers"


@dataclass(frozen=True, slots=True)
class Subject:
    """``serves``: may be used by a server, for ``addresses`` (IP addresses and DNS names)."""

    name: str
    organisation: str
    serves: bool = False
    addresses: tuple[str, ...] = ()
    life: dt.timedelta = LEAF_LIFE


def master(name: str, addresses: Iterable[str]) -> Subject:
    """``addresses``: everything clients may call this master by; localhost is added."""
    all_addresses = dict.fromkeys([*addresses, "127.0.0.1", "::1", "localhost"])
    return Subject(f"system:master:{name}", MASTERS, serves=True, addresses=tuple(all_addresses))


def node(name: str) -> Subject:
    return Subject(f"system:node:{name}", NODES)


def admin() -> Subject:
    return Subject("kubernetes-admin", ADMINS, life=PERSON_LIFE)


def viewer(name: str) -> Subject:
    return Subject(name, VIEWERS, life=PERSON_LIFE)


def issue(authority: Authority, public_key: PublicKey, subject: Subject, now: dt.datetime) -> bytes:
    """A certificate in PEM for ``public_key``, valid from an hour ago, never longer than its CA."""
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if subject.serves:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(authority.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(min(now + subject.life, authority.certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_LEAF_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    if subject.addresses:
        names = [_general_name(address) for address in subject.addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def signing_request(key: PrivateKey, subject: Subject) -> bytes:
    """A CSR in PEM; its signature proves that the sender has the key. Only key and addresses are taken from it."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(subject))
    if subject.addresses:
        names = [_general_name(address) for address in subject.addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Request:
    """What is believed of a CSR: the key, proven, and the addresses that a master asks to be known by."""

    public_key: PublicKey
    addresses: tuple[str, ...]


def read_request(csr_pem: bytes) -> Request:
    """Raises BadRequest for what is no CSR of an EC P-256 key with a good signature."""
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        valid = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadRequest(f"csr_pem is not a certificate request in PEM: {error}") from error
    if not valid or not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadRequest("csr_pem must be signed by the EC P-256 key that it carries")
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Request(key, ())
    except (ValueError, x509.DuplicateExtension) as error:
        raise BadRequest(f"csr_pem: its names cannot be read: {error}") from error
    return Request(key, tuple(str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress)))


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says, readable. ``serial`` is hex."""

    name: str
    organisation: str
    addresses: tuple[str, ...]
    not_before: dt.datetime
    not_after: dt.datetime
    serial: str

    @property
    def renew_at(self) -> dt.datetime:
        """Two thirds of its life: the rest is for a cluster that is off or cut off."""
        return self.not_before + (self.not_after - self.not_before) * 2 / 3


def read(certificate_pem: bytes) -> Certificate:
    certificate = certificate_from_pem(certificate_pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    return Certificate(
        name=_attribute(certificate.subject, NameOID.COMMON_NAME),
        organisation=_attribute(certificate.subject, NameOID.ORGANIZATION_NAME),
        addresses=tuple(str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress)),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        serial=f"{certificate.serial_number:x}",
    )


def _attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""


def _name(subject: Subject) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, subject.name),
        ]
    )


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


_LEAF_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=False,
    crl_sign=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)
