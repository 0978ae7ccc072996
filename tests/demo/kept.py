"""What ``--keep`` leaves for the newcomer to play with, and how to talk to it from this machine."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import yaml

from tests.cluster.cluster import API_PORT, Cluster

_FORWARD = Path(__file__).resolve().parent / "forward.py"
ROOT = _FORWARD.parents[2]


def explain(cluster: Cluster) -> None:
    """Starts the way in, and prints it."""
    master = cluster.masters[0]
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        port = listener.getsockname()[1]
        program = [sys.executable, str(_FORWARD), str(listener.fileno()), master.ip, str(API_PORT)]
        cluster.lab.popen_outside(program, pass_fds=[listener.fileno()])
    kubeconfig = cluster.lab.folder / "kubeconfig"
    kubeconfig.write_text(_through(cluster.kubeconfig.read_text(), port, master.name))
    kubeconfig.chmod(0o600)
    bin_folder = Path(sys.executable).parent
    enter = f"{sys.executable} -m tests.cluster.lab enter {cluster.lab.id}"
    print(
        f"\nthe cluster stays up. From this machine:\n\n"
        f"    export KUBECONFIG={kubeconfig}\n"
        f"    {bin_folder}/kubectl get pods -o wide\n\n"
        f"in one of its hosts, from {ROOT}:\n\n"
        f"    {enter} {cluster.workers[0].name} podman ps\n"
        f"    {enter} {master.name} env KUBECONFIG={cluster.kubeconfig} {bin_folder}/orchestr8 status\n\n"
        f"`make demo-down` takes it down."
    )


def _through(text: str, port: int, master: str) -> str:
    """The same rights through the forwarded port; the certificate is still the master's."""
    document = yaml.safe_load(text)
    for entry in document["clusters"]:
        entry["cluster"] = {
            "server": f"https://127.0.0.1:{port}",
            "tls-server-name": master,
            "certificate-authority-data": entry["cluster"]["certificate-authority-data"],
        }
    return str(yaml.safe_dump(document))
