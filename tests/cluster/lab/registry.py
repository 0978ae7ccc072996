"""The lab's image registry: Debian's docker-registry on a host of its own, plain HTTP."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.cluster.lab.host import HostProcess
from tests.cluster.lab.lab import REGISTRY, REGISTRY_HOST, Lab
from tests.cluster.lab.segment import LabFailed

BUSYBOX = f"{REGISTRY}/busybox:1"
WEB = f"{REGISTRY}/web:1"
WEB2 = f"{REGISTRY}/web:2"

_CONFIG = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {folder}}}
  delete: {{enabled: true}}
http: {{addr: "0.0.0.0:5000"}}
"""
_START_SECONDS = 10.0


def start(lab: Lab) -> HostProcess:
    """Starts it, builds the images offline and pushes them: BUSYBOX, WEB and WEB2. Ends with the lab."""
    host = lab[REGISTRY_HOST]
    (host.folder / "images").mkdir(exist_ok=True)
    host.write("/etc/registry.yml", _CONFIG.format(folder=host.folder / "images"))
    log = (host.folder / "registry.log").open("wb")
    with log:
        process = host.popen(["docker-registry", "serve", "/etc/registry.yml"], stdout=log, stderr=log)
    deadline = time.monotonic() + _START_SECONDS
    while host.run(["curl", "-sf", f"http://{REGISTRY}/v2/"], check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            raise LabFailed(f"the registry did not start: {(host.folder / 'registry.log').read_text()[-2000:]}")
        time.sleep(0.02)
    source = Path(__file__).resolve().parents[3]
    host.run([sys.executable, "-m", "tests.cluster.lab.images", REGISTRY], cwd=str(source))
    return process
