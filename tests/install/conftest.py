"""A Debian root file system with a running systemd, in an unprivileged container on a host of the lab.

The root file system is this machine's own release, made from its own package sources. The product comes in read-only:
the source tree and the libraries of the environment that runs the tests; the launcher uses Debian's own python3, so the
two must be of one minor version.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.lab import Host, Lab, traces
from tests.install.machine import Machine

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = "systemd,systemd-sysv,dbus,python3,podman,crun,nftables,iproute2,conntrack,procps,kmod"
LAUNCHER = """\
#!/usr/bin/python3
import sys
sys.path[:0] = ["/opt/orchestr8/source", "/opt/orchestr8/libraries"]
from orchestr8.__main__ import main
main()
"""
# Without this, Podman inside would look for overlay on overlay, which the kernel refuses.
STORAGE = '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n'


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    with Lab(hosts=["h1"]) as lab:
        yield lab["h1"]
    left = traces(lab.id)
    assert not left, "the lab left behind:\n" + "\n".join(left)


@pytest.fixture(scope="session")
def image(host: Host) -> str:
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().replace('"', "").splitlines() if "=" in line
    )
    assert sys.version_info[:2] == _debian_python(), "run the tests with Debian's own Python version"
    archive = host.folder / "root.tar"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", release["VERSION_CODENAME"], archive],
        check=True,
        timeout=600,
    )
    host.run(["podman", "import", "-q", str(archive), "localhost/debian-systemd:1"], timeout_seconds=120)
    archive.unlink()
    return "localhost/debian-systemd:1"


@pytest.fixture(scope="module")
def machine(host: Host, image: str) -> Iterator[Machine]:
    """A booted system, fresh for each module."""
    libraries = sysconfig.get_paths()["purelib"]
    volumes = [f"--volume={ROOT}:/opt/orchestr8/source:ro", f"--volume={libraries}:/opt/orchestr8/libraries:ro"]
    options = ["--systemd=always", "--net=none", "--hostname=h1", "--cap-add=NET_ADMIN", *volumes]
    host.run(["podman", "run", "-d", "--name=systemd", *options, image, "/sbin/init"], timeout_seconds=120)
    try:
        machine = Machine(host, "systemd")
        machine.write("/usr/local/bin/orchestr8", LAUNCHER, mode="755")
        machine.write("/etc/containers/storage.conf", STORAGE)
        machine.wait_until_booted()
        yield machine
    finally:
        host.run(["podman", "rm", "-f", "-t", "0", "systemd"])


def _debian_python() -> tuple[int, int]:
    text = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", "python3"], check=True, capture_output=True, text=True
    ).stdout
    version = next(line.split()[1] for line in text.splitlines() if line.startswith("Version:"))
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
