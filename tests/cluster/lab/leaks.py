"""What a lab left on the machine. Everything of a lab carries its id, so that labs of others do not disturb."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.lab import cgroups, record


def traces(lab_id: str) -> list[str]:
    """One line for each thing of the lab that is still there; empty after a clean end. Looks at processes, mounts,
    namespaces, control groups and files."""
    return list(_traces(lab_id))


def machine_state() -> set[str]:
    """What in the machine's own (not the labs') network could have been changed by mistake: tables and links."""
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    links = subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout
    routes = subprocess.run(["ip", "route", "show", "table", "all"], capture_output=True, text=True, check=True).stdout
    return {
        *tables.splitlines(),
        *(f"link {link['ifname']}" for link in json.loads(links)),
        *(f"route {line.strip()}" for line in routes.splitlines()),
    }


def _traces(lab_id: str) -> Iterator[str]:
    for pid in sorted(cgroups.processes(lab_id) | _processes_naming(lab_id)):
        yield f"process {pid}: {_command_line(pid)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if f"o8lab-{lab_id}" in line:
            yield f"mount {line.split()[4]}"
    for name in record.netns_names(lab_id):
        yield f"network namespace {name}"
    for folder in cgroups.folders_of(lab_id):
        yield f"control group {folder}"
    folder = record.BASE / f"o8lab-{lab_id}"
    if folder.exists():
        yield f"folder {folder}"


def _processes_naming(lab_id: str) -> set[int]:
    needle = f"o8lab-{lab_id}"
    return {int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and needle in _command_line(int(p.name))}


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
