"""What a lab leaves behind on disk so that somebody else can take it down: ``/var/tmp/o8lab-ID/record.json``.

All names (namespaces, control groups, folder) follow from the lab's id, so the record needs little more than the
owner. A lab whose owner is dead is taken down by whoever starts the next one, unless it was kept on purpose.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.cluster.lab import cgroups

# On a real disk, and not below what each host has of its own (/etc, /root, /var/lib, /run).
BASE = Path(os.environ.get("ORCHESTR8_LAB_DIR", "/var/tmp"))
_PREFIX = "o8lab-"
_NETNS = Path("/run/netns")


@dataclass(frozen=True)
class Record:
    """``owner_start``: start time of the owner in clock ticks, since pids are used again. ``kept_as``: the name under
    which it was kept on purpose; "": it ends with its owner."""

    id: str
    owner_pid: int
    owner_start: str
    kept_as: str = ""
    hosts: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return BASE / f"{_PREFIX}{self.id}"

    def save(self) -> None:
        """The folder appears together with its record: one without record belongs to nobody and may be swept."""
        text = json.dumps(asdict(self), indent=1)
        if self.folder.exists():
            temporary = self.folder / "record.json.new"
            temporary.write_text(text)
            temporary.replace(self.folder / "record.json")
        else:
            unborn = Path(tempfile.mkdtemp(prefix=".new-", dir=BASE))
            unborn.chmod(0o755)
            (unborn / "record.json").write_text(text)
            unborn.rename(self.folder)

    def owner_lives(self) -> bool:
        return start_time(self.owner_pid) == self.owner_start


def create(hosts: tuple[str, ...]) -> Record:
    """The record of a lab that this process is about to build, on disk."""
    pid = os.getpid()
    record = Record(id=secrets.token_hex(3), owner_pid=pid, owner_start=start_time(pid) or "", hosts=hosts)
    record.save()
    return record


def keep(record: Record, name: str) -> None:
    """From now on only an explicit ``down`` removes the lab."""
    replace(record, kept_as=name).save()


def kept(name: str) -> list[str]:
    """The ids of the labs that were kept under this name."""
    records = (load(lab_id) for lab_id in sorted(lab_ids()))
    return [record.id for record in records if record is not None and record.kept_as == name]


def load(lab_id: str) -> Record | None:
    path = BASE / f"{_PREFIX}{lab_id}" / "record.json"
    try:
        fields = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return Record(**{**fields, "hosts": tuple(fields["hosts"])})


def lab_ids() -> set[str]:
    """Every lab of this machine. The folder is made first and removed last, so what has none is somebody else's: a
    container's view of the control groups, say, shows labs that are not its own."""
    return {path.name.removeprefix(_PREFIX) for path in BASE.glob(f"{_PREFIX}*")}


def netns_names(lab_id: str) -> list[str]:
    return sorted(path.name for path in _NETNS.glob(f"{_PREFIX}{lab_id}-*")) if _NETNS.is_dir() else []


def take_down(lab_id: str) -> None:
    """Removes everything of the lab: processes, namespaces, control groups, files. Nothing there: success."""
    cgroups.kill(lab_id)
    for name in netns_names(lab_id):
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
    cgroups.remove(lab_id)
    folder = BASE / f"{_PREFIX}{lab_id}"
    deadline = time.monotonic() + 5
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=time.monotonic() < deadline)


def sweep(*, kept_too: bool = False) -> list[str]:
    """Takes down every lab whose owner is dead (kept ones only if asked); returns their ids."""
    swept = []
    for lab_id in sorted(lab_ids()):
        record = load(lab_id)
        if record is not None and record.kept_as and not kept_too:
            continue
        if record is not None and not record.kept_as and record.owner_lives():
            continue
        take_down(lab_id)
        swept.append(lab_id)
    return swept


def start_time(pid: int) -> str | None:
    """Field 22 of /proc/PID/stat: with the pid it names one process for as long as the machine runs."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()[19]
