"""`orchestr8 up`, `master`, `worker`: from flags to settings, then the role runs until it is stopped.

What a role does stands in master/main.py, worker/main.py and up.py.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestr8.cli.cluster import default_kubeconfig, reported
from orchestr8.cli.failures import Failure
from orchestr8.errors import Orchestr8Error

if TYPE_CHECKING:
    from orchestr8.config import MasterSettings, WorkerSettings
    from orchestr8.supervise import Lifetime

F = TypeVar("F", bound=Callable[..., Any])


def _settings(command: F) -> F:
    """The options that every daemon has."""
    for option in (
        click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Any setting: master.api_port=6444."),
        click.option("--log-level", type=click.Choice(("debug", "info", "warning", "error")), help="How much to log."),
        click.option("--data-dir", type=click.Path(path_type=Path), help="State directory."),
        click.option("--address", metavar="IP", help="Under which the others reach this host."),
        click.option("--name", metavar="NAME", help="Name of this master or node; default: this host's."),
        click.option("--config", type=click.Path(path_type=Path), help="Configuration file (TOML)."),
    ):
        command = option(command)
    return command


@click.command(
    epilog="""\b
Examples (as root):
  orchestr8 up                          a cluster of this host; ^C stops it, its pods run on
  orchestr8 up --data-dir /tmp/o8       somewhere else
Then: orchestr8 apply -f docs/examples/web.yaml
"""
)
@_settings
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Where to write it; default: ~/.kube/config.")
def up(kubeconfig: Path | None, name: str | None, data_dir: Path | None, **options: Any) -> None:
    """Run master and worker in one process: a cluster of one host."""
    with reported():
        from orchestr8 import config
        from orchestr8.up import run_up

        host = name or _host_name()
        base = data_dir or config.STATE_DIR
        load = functools.partial(
            config.load_master,
            options["config"],
            flags=_flags("master", options, name=host, data_dir=base / "master"),
        )
        master = load()
        worker = config.load_worker(
            flags={
                "worker.name": host,
                "worker.address": options["address"],
                "worker.data_dir": str(base / "worker"),
                "log.level": options["log_level"],
                **_pairs("worker", options["pairs"]),
            }
        )
        path = kubeconfig or default_kubeconfig()

        async def role(lifetime: Lifetime) -> None:
            await run_up(master, worker, path, lifetime)

        click.echo(f"starting; when it is ready: KUBECONFIG={path} orchestr8 status", err=True)
        _run(role, load, master.master.stop_grace_seconds, role="up", node=host)


@click.group(
    invoke_without_command=True,
    epilog="""\b
Examples:
  orchestr8 master init --address 10.0.0.1                 the first (or only) master: makes the cluster's CA
  orchestr8 master init --name m1 --address 10.0.0.1 \\
      --member m2=10.0.0.2:7443 --member m3=10.0.0.3:7443   and prints the lines with which m2 and m3 join
  orchestr8 master                                         run it (systemd does that)
""",
)
@_settings
@click.pass_context
def master(ctx: click.Context, /, **options: Any) -> None:
    """Run a master: API, store, controllers, scheduler."""
    if ctx.invoked_subcommand is not None:
        return
    with reported():
        from orchestr8 import config

        load = functools.partial(
            config.load_master, options["config"], flags=_flags("master", options, name=options["name"])
        )
        settings = load()
        from orchestr8.master.main import run_master  # after the settings: a mistake there is told at once

        async def role(lifetime: Lifetime) -> None:
            await run_master(settings, lifetime)

        _run(role, load, settings.master.stop_grace_seconds, role="master", node=settings.master.name)


@master.command()
@click.option("--name", metavar="NAME", help="Name of this master; default: this host's.")
@click.option("--address", metavar="IP", required=True, help="Under which the others reach this host.")
@click.option("--member", "members", multiple=True, metavar="NAME=HOST:PORT", help="Each other master.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="State directory; default: /var/lib/orchestr8/master."
)
@click.option("--config", type=click.Path(path_type=Path), help="File to write; default: /etc/orchestr8/master.toml.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Where to write it; default: ~/.kube/config.")
def init(
    name: str | None,
    address: str,
    members: tuple[str, ...],
    data_dir: Path | None,
    config: Path | None,
    kubeconfig: Path | None,
) -> None:
    """Set up the first master: CA, configuration, kubeconfig, and tokens for the others."""
    with reported():
        from orchestr8 import config as configuration
        from orchestr8.cli.verbs.kubeconfig import rendered
        from orchestr8.cli.verbs.token import member_line
        from orchestr8.pki import ca, files

        file = config or configuration.CONFIG_DIR / "master.toml"
        folder = data_dir or configuration.STATE_DIR / "master"
        if files.load_authority(folder / "pki") is not None:
            raise Failure(
                f"{folder}/pki has a CA already: this master was set up before", "run it: orchestr8 master", 4
            )
        host = name or _host_name()
        others = _members(members)
        text = _master_toml(host, address, {host: f"{address}:7443", **others}, data_dir)
        files.write_private(file, text.encode(), mode=0o644)
        settings = configuration.load_master(file)
        files.save_authority(folder / "pki", ca.create(dt.datetime.now(dt.UTC)))
        click.echo(f"CA made in {folder}/pki; settings written to {file}")
        _write_kubeconfig(rendered(None, (), None, file), kubeconfig or default_kubeconfig())
        for member in others:
            click.echo(
                f"\nOn {member} (good for one hour, once, while this master runs):\n  {member_line(member, None, file)}"
            )
        click.echo(
            "\nRun it:         orchestr8 install && systemctl enable --now orchestr8-master    (or: orchestr8 master)"
        )
        click.echo(f"Add a worker:   orchestr8 token create --address {settings.members[host]}")


@click.command(
    epilog="""\b
Examples:
  orchestr8 join 10.0.0.1:7443 o8.k3f9xw.2vq...     first, once
  orchestr8 worker                                  run it (systemd does that)
"""
)
@_settings
def worker(**options: Any) -> None:
    """Run a worker: it runs pods through Podman."""
    with reported():
        from orchestr8 import config

        load = functools.partial(
            config.load_worker, options["config"], flags=_flags("worker", options, name=options["name"])
        )
        settings = load()
        from orchestr8.worker.main import run_worker

        async def role(lifetime: Lifetime) -> None:
            await run_worker(settings, lifetime)

        _run(role, load, settings.worker.stop_grace_seconds, role="worker", node=settings.worker.name)


def _run(
    run: Callable[[Lifetime], Awaitable[None]],
    load: Callable[[], MasterSettings | WorkerSettings],
    grace_seconds: float,
    /,
    **bound: str,
) -> None:
    """``load`` reads the settings: at the start and, unless this is a terminal, on each SIGHUP (the log's level)."""
    import trio

    from orchestr8 import logs, supervise
    from orchestr8.config import systemd_environment

    environment = systemd_environment()
    log = load().log
    logs.configure(level=log.level, format=log.format, journal=environment.journal, **bound)

    def reload() -> None:
        logs.set_level(load().log.level)

    life = functools.partial(
        supervise.run_role,
        run,
        environment=environment,
        grace_seconds=grace_seconds,
        reload=None if sys.stderr.isatty() else reload,
    )
    try:
        trio.run(life)
    except ExceptionGroup as group:
        _, bugs = group.split(Orchestr8Error)
        if bugs is not None:
            raise
        raise _first(group) from group


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """Nurseries wrap what ends a role; where it is a known error, the user sees that one."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


def _flags(section: str, options: dict[str, Any], **named: Any) -> dict[str, Any]:
    data_dir = named.get("data_dir", options.get("data_dir"))
    return {
        f"{section}.name": named.get("name"),
        f"{section}.address": options["address"],
        f"{section}.data_dir": None if data_dir is None else str(data_dir),
        "log.level": options["log_level"],
        **_pairs(section, options["pairs"]),
    }


def _pairs(section: str, pairs: tuple[str, ...]) -> dict[str, Any]:
    """``master.api_port=6444``: values are JSON where they can be, else text. Only what ``section``'s role knows."""
    from orchestr8.config import MasterSettings, WorkerSettings

    known = (MasterSettings if section == "master" else WorkerSettings).__struct_fields__
    other = (WorkerSettings if section == "master" else MasterSettings).__struct_fields__
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or "." not in key:
            raise click.UsageError(f"--set {pair}: write SECTION.KEY=VALUE")
        if key.partition(".")[0] in other and key.partition(".")[0] not in known:
            continue
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def _members(pairs: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, address = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--member {pair}: write NAME=HOST:PORT")
        found[name] = address
    return found


def _master_toml(name: str, address: str, members: dict[str, str], data_dir: Path | None) -> str:
    """JSON's strings are TOML's."""
    lines = ["[master]", f"name = {json.dumps(name)}", f"address = {json.dumps(address)}"]
    if data_dir is not None:
        lines.append(f"data_dir = {json.dumps(str(data_dir))}")
    lines += ["", "[members]", *(f"{json.dumps(member)} = {json.dumps(where)}" for member, where in members.items())]
    return "\n".join(lines) + "\n"


def _write_kubeconfig(text: str, path: Path) -> None:
    from orchestr8.pki import files

    if path.exists():
        click.echo(f"{path} exists and was left alone; another: orchestr8 kubeconfig -o FILE")
        return
    files.write_private(path, text.encode())
    click.echo(f"admin's kubeconfig written to {path}")


def _host_name() -> str:
    return socket.gethostname().partition(".")[0].lower()
