"""Settings of each role: frozen, parsed and checked once, before anything starts.

Precedence: built-in < /etc/orchestr8/ROLE.toml < ROLE.d/*.toml < ORCHESTR8_SECTION_KEY < flags. A file holds only what
is true of this host; what is true of the cluster lives in the store. An unknown key, a wrong type or a value that
contradicts another is refused with its origin and the nearest known name. This is the only module that reads
environment variables.
"""

from __future__ import annotations

import difflib
import functools
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from orchestr8.errors import ConfigError

CONFIG_DIR = Path("/etc/orchestr8")
STATE_DIR = Path("/var/lib/orchestr8")

_ENVIRONMENT_PREFIX = "ORCHESTR8_"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class LogSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``level``: debug, info, warning or error. ``format``: auto (console on a terminal, else json), console, json."""

    level: str = "info"
    format: str = "auto"


class NetworkSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Address ranges of the cluster; every master must be given the same. Nodes get /24 pieces of ``cluster_cidr``."""

    cluster_cidr: str = "10.70.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    node_port_range: str = "30000-32767"


class MasterSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``address``: where others reach this master. ``listen``: what its sockets bind to."""

    name: str = ""
    address: str = "127.0.0.1"
    listen: str = "0.0.0.0"
    data_dir: str = str(STATE_DIR / "master")
    api_port: int = 6443
    rpc_port: int = 7443
    eviction_seconds: int = 3
    stop_grace_seconds: int = 10


class WorkerSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``address`` empty: that of the route to the first master. ``podman_socket`` empty: the worker starts one."""

    name: str = ""
    address: str = ""
    data_dir: str = str(STATE_DIR / "worker")
    run_dir: str = "/run/orchestr8/worker"
    masters: tuple[str, ...] = ()
    podman_socket: str = ""
    labels: dict[str, str] = {}
    taints: tuple[str, ...] = ()
    max_pods: int = 110
    reserved_cpu_millis: int = 100
    reserved_memory_bytes: int = 128 * 1024 * 1024
    stop_grace_seconds: int = 10


class MasterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``members``: name -> host:port of the RPC port of every master, this one included; the same on all of them."""

    master: MasterSection = MasterSection()
    members: dict[str, str] = {}
    network: NetworkSection = NetworkSection()
    log: LogSection = LogSection()


class WorkerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    worker: WorkerSection = WorkerSection()
    log: LogSection = LogSection()


class SystemdEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """What systemd told this process. ``watchdog_seconds`` 0: no watchdog."""

    notify_socket: str = ""
    watchdog_seconds: float = 0.0
    journal: bool = False


Settings = TypeVar("Settings", MasterSettings, WorkerSettings)


def load_master(
    path: Path | None = None, *, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ
) -> MasterSettings:
    """Settings of a master. ``flags``: ``{"master.name": "m1"}``; None values are left out. Raises ConfigError."""
    settings = _load(MasterSettings, path or CONFIG_DIR / "master.toml", flags or {}, environ, path is not None)
    _check_master(settings)
    return settings


def load_worker(
    path: Path | None = None, *, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ
) -> WorkerSettings:
    """Settings of a worker, as ``load_master``."""
    settings = _load(WorkerSettings, path or CONFIG_DIR / "worker.toml", flags or {}, environ, path is not None)
    _check_name("worker.name", settings.worker.name)
    if settings.worker.address:
        _check_address("worker.address", settings.worker.address)
    if not 1 <= settings.worker.max_pods <= 1000:
        raise ConfigError(f"worker.max_pods is {settings.worker.max_pods}: give a number from 1 to 1000")
    _check_log(settings.log)
    return settings


def systemd_environment(environ: Mapping[str, str] = os.environ) -> SystemdEnvironment:
    microseconds = environ.get("WATCHDOG_USEC", "0")
    mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return SystemdEnvironment(
        notify_socket=environ.get("NOTIFY_SOCKET", ""),
        watchdog_seconds=int(microseconds) / 1e6 if mine and microseconds.isdigit() else 0.0,
        journal="JOURNAL_STREAM" in environ,
    )


# -- reading ------------------------------------------------------------------------------------------


def _load(
    cls: type[Settings], path: Path, flags: Mapping[str, Any], environ: Mapping[str, str], required: bool
) -> Settings:
    merged: dict[str, dict[str, Any]] = {}
    if required and not path.is_file():
        raise ConfigError(f"{path}: no such file; give an existing one with --config")
    for file in _files(path):
        _merge(merged, cls, _read(file), functools.partial(_place, file))
    _merge(merged, cls, _from_environment(cls, environ), lambda key: f"environment, {key}")
    nested: dict[str, dict[str, Any]] = {}
    for dotted, value in flags.items():
        if value is not None:
            section, _, key = dotted.partition(".")
            nested.setdefault(section, {})[key] = value
    _merge(merged, cls, nested, lambda key: f"command line, {key}")
    try:
        return msgspec.convert(merged, cls)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    folder = path.with_suffix(".d")
    if folder.is_dir():
        yield from sorted(folder.glob("*.toml"))


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error


def _place(file: Path, key: str) -> str:
    """FILE:LINE of the first line that starts with the key; line 1 if it is written in a form not met here."""
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if line.strip().lstrip("[").split("=")[0].strip().rstrip("]").strip('"') == key:
            return f"{file}:{number}"
    return f"{file}:1"


def _from_environment(cls: type[msgspec.Struct], environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for section, keys in _sections(cls).items():
        for key, kind in (keys or {}).items():
            text = environ.get(f"{_ENVIRONMENT_PREFIX}{section.upper()}_{key.upper()}")
            if text is not None:
                found.setdefault(section, {})[key] = _parse(f"{section}.{key}", text, kind)
    return found


def _parse(key: str, text: str, kind: Any) -> Any:
    if kind is str:
        return text
    try:
        return msgspec.convert(msgspec.json.decode(text) if kind is not int else text, kind, strict=False)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ConfigError(f"environment, {key}: {error}") from error


def _sections(cls: type[msgspec.Struct]) -> dict[str, dict[str, Any] | None]:
    """Section -> key -> type; None for a section whose keys are free (members)."""
    found: dict[str, dict[str, Any] | None] = {}
    for field in msgspec.structs.fields(cls):
        is_section = isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
        found[field.name] = {f.name: f.type for f in msgspec.structs.fields(field.type)} if is_section else None
    return found


def _merge(into: dict[str, dict[str, Any]], cls: type[msgspec.Struct], layer: Mapping[str, Any], origin: Any) -> None:
    sections = _sections(cls)
    for section, values in layer.items():
        if section not in sections:
            raise ConfigError(f"{origin(section)}: unknown section [{section}]{_nearest(section, sections)}")
        if not isinstance(values, Mapping):
            raise ConfigError(f"{origin(section)}: {section} must be a section: write [{section}] on a line of its own")
        keys = sections[section]
        for key, value in values.items():
            if keys is not None and key not in keys:
                raise ConfigError(f"{origin(key)}: unknown key {section}.{key}{_nearest(key, keys)}")
            into.setdefault(section, {})[key] = value


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(sorted(known))}"


# -- checks across keys -----------------------------------------------------------------------------------


def _check_master(settings: MasterSettings) -> None:
    master, network = settings.master, settings.network
    _check_name("master.name", master.name)
    _check_address("master.address", master.address)
    _check_log(settings.log)
    if settings.members and master.name not in settings.members:
        known = ", ".join(sorted(settings.members))
        raise ConfigError(f"master.name is {master.name!r}, which [members] does not list (it has {known})")
    for name, address in settings.members.items():
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError(f"members.{name} is {address!r}: write host:port, for example 10.0.0.11:7443")
    cluster = _check_cidr("network.cluster_cidr", network.cluster_cidr)
    service = _check_cidr("network.service_cidr", network.service_cidr)
    if cluster.overlaps(service):
        raise ConfigError(f"network.cluster_cidr {cluster} and network.service_cidr {service} overlap: move one")
    if cluster.prefixlen > 24:
        raise ConfigError(f"network.cluster_cidr {cluster} is too small: nodes need a /24 each")
    first, _, last = network.node_port_range.partition("-")
    if not (first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last) <= 65535):
        raise ConfigError(f"network.node_port_range is {network.node_port_range!r}: write 30000-32767")


def _check_name(key: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{key} is {name!r}: use lower-case letters, digits and '-', as in a host name (at most 63)")


def _check_address(key: str, text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise ConfigError(f"{key} is {text!r}: give an IP address that the other hosts reach") from error


def _check_cidr(key: str, text: str) -> ipaddress.IPv4Network:
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        raise ConfigError(f"{key} is {text!r}: {error}; write a range such as 10.70.0.0/16") from error


def _check_log(log: LogSection) -> None:
    if log.level not in ("debug", "info", "warning", "error"):
        raise ConfigError(f"log.level is {log.level!r}: use debug, info, warning or error")
    if log.format not in ("auto", "console", "json"):
        raise ConfigError(f"log.format is {log.format!r}: use auto, console or json")
