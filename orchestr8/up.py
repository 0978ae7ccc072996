"""``orchestr8 up``: a whole cluster of one host in one process, master and worker side by side.

At the first start it makes the cluster's CA, an identity for the worker and a kubeconfig for root; later starts find
them. The two roles talk over the same mutual-TLS wire on loopback as on different hosts.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
import trio

from orchestr8.config import MasterSection, MasterSettings, WorkerSettings
from orchestr8.master.main import run_master
from orchestr8.pki import ca, certificates, files, kubeconfig
from orchestr8.supervise import Lifetime
from orchestr8.worker.main import main_address, run_worker


async def run_up(master: MasterSettings, worker: WorkerSettings, kubeconfig_path: Path, lifetime: Lifetime) -> None:
    """Both roles until ``lifetime`` stops them. ``kubeconfig_path`` is written only if it does not exist."""
    address = worker.worker.address or main_address()
    if master.master.address == MasterSection().address:
        master = msgspec.structs.replace(master, master=msgspec.structs.replace(master.master, address=address))
    here = f"127.0.0.1:{master.master.rpc_port}"
    worker = msgspec.structs.replace(
        worker, worker=msgspec.structs.replace(worker.worker, masters=(here,), address=address)
    )
    await trio.to_thread.run_sync(prepare, master, worker, kubeconfig_path, dt.datetime.now(dt.UTC))
    parts = _Parts(lifetime, ("master", "worker"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_master, master, parts.lifetime("master"))
        nursery.start_soon(run_worker, worker, parts.lifetime("worker"))


def prepare(master: MasterSettings, worker: WorkerSettings, kubeconfig_path: Path, now: dt.datetime) -> None:
    """CA, worker identity and kubeconfig, each made only if it is missing. Blocking."""
    master_pki, worker_pki = Path(master.master.data_dir) / "pki", Path(worker.worker.data_dir) / "pki"
    authority = files.load_authority(master_pki)
    if authority is None:
        authority = ca.create(now)
        files.save_authority(master_pki, authority)
    identity = files.load_identity(worker_pki)
    if identity is None or identity.ca_pem != authority.certificate_pem:
        key = ca.new_key()
        subject = certificates.node(worker.worker.name)
        certificate_pem = certificates.issue(authority, key.public_key(), subject, now)
        files.save_identity(worker_pki, files.Identity(authority.certificate_pem, certificate_pem, ca.key_to_pem(key)))
    if not kubeconfig_path.exists():
        server = f"https://{master.master.address}:{master.master.api_port}"
        text = kubeconfig.render(authority, certificates.admin(), [server], now)
        files.write_private(kubeconfig_path, text.encode())


class _Parts:
    """Ready when every part is; one stop stops all."""

    def __init__(self, whole: Lifetime, names: tuple[str, ...]) -> None:
        self._whole = whole
        self._lines = dict.fromkeys(names, "")

    def lifetime(self, name: str) -> Lifetime:
        def notify(**fields: str) -> None:
            if "STATUS" in fields:
                waiting = not all(self._lines.values())
                self._lines[name] = fields["STATUS"]
                line = "; ".join(filter(None, self._lines.values()))
                if waiting and all(self._lines.values()):
                    self._whole.ready(line)
                else:
                    self._whole.status(line)

        part = Lifetime(notify)
        part.stopping = self._whole.stopping
        return part
