"""The syntaxes of names, label keys and values, ports and addresses.

Each check returns "" when the text is fine, else what it must look like. Sources: RFC 1123, RFC 1035, and the
Kubernetes pages "Object Names and IDs" and "Labels and Selectors".
"""

from __future__ import annotations

import ipaddress
import re

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_ENV_NAME = re.compile(r"[\x20-\x3c\x3e-\x7e]+")
_PORT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_PERCENT = re.compile(r"[0-9]{1,9}%")


def label(text: str) -> str:
    """A DNS-1123 label: a namespace, a container, a volume."""
    if len(text) > 63:
        return "must be no more than 63 characters"
    if not _LABEL.fullmatch(text):
        return (
            "a lowercase RFC 1123 label must consist of lower case letters, digits or '-',"
            " and must start and end with a letter or digit (such as 'my-name')"
        )
    return ""


def label_1035(text: str) -> str:
    """A DNS-1035 label: a Service."""
    if len(text) > 63:
        return "must be no more than 63 characters"
    if not _LABEL_1035.fullmatch(text):
        return (
            "a DNS-1035 label must consist of lower case letters, digits or '-', start with a letter,"
            " and end with a letter or digit (such as 'my-name')"
        )
    return ""


def subdomain(text: str) -> str:
    """A DNS-1123 subdomain: most objects."""
    if len(text) > 253:
        return "must be no more than 253 characters"
    if not _SUBDOMAIN.fullmatch(text):
        return (
            "a lowercase RFC 1123 subdomain must consist of lower case letters, digits, '-' or '.',"
            " and must start and end with a letter or digit (such as 'example.com')"
        )
    return ""


def qualified_name(text: str) -> str:
    """A label key: ``name`` or ``prefix/name``."""
    prefix, slash, name = text.rpartition("/")
    if slash and (subdomain(prefix) or not prefix):
        return "the prefix before '/' must be a DNS subdomain (such as 'example.com/my-name')"
    if not name or len(name) > 63 or not _QUALIFIED.fullmatch(name):
        return (
            "the name part must be 1 to 63 letters, digits, '-', '_' or '.',"
            " and must start and end with a letter or digit (such as 'my.name')"
        )
    return ""


def label_value(text: str) -> str:
    if text and (len(text) > 63 or not _QUALIFIED.fullmatch(text)):
        return (
            "a label value must be at most 63 letters, digits, '-', '_' or '.',"
            " and must start and end with a letter or digit, or be empty"
        )
    return ""


def data_key(text: str) -> str:
    """A key of a ConfigMap or Secret: a file name."""
    if len(text) > 253:
        return "must be no more than 253 characters"
    if not _DATA_KEY.fullmatch(text):
        return "a key must consist of letters, digits, '-', '_' or '.' (such as 'key.name')"
    if text in (".", "..") or text.startswith(".."):
        return "must not start with '..' or be '.'"
    return ""


def env_name(text: str) -> str:
    if not _ENV_NAME.fullmatch(text):
        return "an environment variable's name must be printable ASCII without '='"
    return ""


def port(number: int) -> str:
    return "" if 1 <= number <= 65_535 else "must be between 1 and 65535, inclusive"


def port_name(text: str) -> str:
    if len(text) > 15:
        return "must be no more than 15 characters"
    if not _PORT_NAME.fullmatch(text) or not re.search("[a-z]", text) or "--" in text:
        return "must be lower case letters, digits and single '-', with at least one letter (such as 'http')"
    return ""


def address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return "must be a valid IP address (such as 10.9.8.7)"
    return ""


def network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return "must be a valid network with its prefix length (such as 10.9.8.0/24)"
    return ""


def percent(text: str) -> str:
    return "" if _PERCENT.fullmatch(text) else "a valid percent string is a number followed by '%' (such as '25%')"
