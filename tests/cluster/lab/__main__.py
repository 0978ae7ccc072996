"""Looks after labs from a shell.

python -m tests.cluster.lab list                       which labs there are
python -m tests.cluster.lab down [ID ...]              take down those named, or all whose owner is gone, kept ones too
python -m tests.cluster.lab enter ID HOST [COMMAND ..] run a command (a shell) in a host
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.cluster.lab import cgroups, record
from tests.cluster.lab.host import entering


def main(arguments: list[str]) -> int:
    match arguments:
        case [] | ["list"]:
            for lab_id in sorted(record.lab_ids()):
                found = record.load(lab_id)
                state = (
                    "no record"
                    if found is None
                    else f"kept as {found.kept_as}"
                    if found.kept_as
                    else f"owner {found.owner_pid}"
                )
                print(lab_id, state, *(found.hosts if found else ()))
        case ["down"]:
            print("taken down:", *(record.sweep(kept_too=True) or ["nothing"]))
        case ["down", *lab_ids]:
            for lab_id in lab_ids:
                record.take_down(lab_id)
            print("taken down:", *lab_ids)
        case ["enter", lab_id, host, *command]:
            folders = cgroups.settle(lab_id, host)
            argv = entering(host, _init_pid(lab_id, host), folders, command or ["sh"])
            os.execvp(argv[0], argv)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def _init_pid(lab_id: str, host: str) -> int:
    """The process that the host itself sees as 1."""
    for pid in sorted(cgroups.processes(lab_id, host)):
        status = Path(f"/proc/{pid}/status").read_text()
        (numbers,) = (line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
        if numbers[-1] == "1":
            return pid
    raise SystemExit(f"lab {lab_id} has no host {host} that is on: see `python -m tests.cluster.lab list`")


sys.exit(main(sys.argv[1:]))
