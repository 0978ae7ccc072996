"""A Debian root file system with a running systemd, in an unprivileged container on a host of the lab.

The root file system is this machine's own release, made from its own package sources. The product comes in read-only:
the source tree and the libraries of the environment that runs the tests; the launcher uses Debian's own python3, so the
two must be of one minor version.

The container may set up networks (NET_ADMIN) and nothing more: with SYS_ADMIN its systemd would mount control groups
of the whole machine. So Podman inside takes itself for an ordinary user's, starts itself anew in a user namespace and
loses the socket that systemd hands it: ``PODMAN`` stands for podman.socket here, and Podman's own units are masked.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.lab import Host, Lab, traces
from tests.install.machine import ADDRESS, Machine

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = "systemd,systemd-sysv,dbus,python3,podman,crun,catatonit,nftables,iproute2,conntrack,procps"
LAUNCHER = """\
#!/usr/bin/python3
import sys
sys.path[:0] = ["/opt/orchestr8/source", "/opt/orchestr8/libraries"]
from orchestr8.__main__ import main
main()
"""
# Without this, Podman inside would look for overlay on overlay, which the kernel refuses.
STORAGE = '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n'
PODMAN = """\
[Service]
Type=exec
KillMode=process
RuntimeDirectory=podman
ExecStart=/usr/bin/podman system service --time=0 unix:///run/podman/podman.sock
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    with Lab(hosts=["h1"]) as lab:
        yield lab["h1"]
    left = traces(lab.id)
    assert not left, "the lab left behind:\n" + "\n".join(left)


@pytest.fixture(scope="session")
def root(host: Host) -> Path:
    """The file system of a host on which the product is there, but nothing of it installed or running."""
    if sys.version_info[:2] != _debian_python():
        pytest.fail("the libraries of this environment are not for Debian's own Python, which the machine runs")
    folder = host.folder / "debian"
    release, sources = _release_and_sources()
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", release, str(folder), *sources]
    subprocess.run(command, check=True, timeout=600)
    _add(folder, "usr/local/bin/orchestr8", LAUNCHER, mode=0o755)
    _add(folder, "etc/containers/storage.conf", STORAGE)
    _add(folder, "etc/systemd/system/podman-api.service", PODMAN)
    for unit in (folder / "usr/lib/systemd/system").glob("podman*"):
        (folder / "etc/systemd/system" / unit.name).symlink_to("/dev/null")
    return folder


@pytest.fixture(scope="module")
def machine(host: Host, root: Path) -> Iterator[Machine]:
    """A booted system, fresh for each module, with the address 10.9.0.1 on a link without a peer."""
    libraries = sysconfig.get_paths()["purelib"]
    volumes = [f"--volume={ROOT}:/opt/orchestr8/source:ro", f"--volume={libraries}:/opt/orchestr8/libraries:ro"]
    # Forwarding: /proc/sys is read-only in a container, and a worker finds it set.
    network = ["--net=none", "--cap-add=NET_ADMIN", "--sysctl=net.ipv4.ip_forward=1"]
    options = ["--systemd=always", "--hostname=h1", *network, *volumes]
    host.run(["podman", "run", "-d", "--name=systemd", *options, "--rootfs", f"{root}:O", "/sbin/init"])
    try:
        machine = Machine(host, "systemd")
        machine.wait_until_booted()
        machine.run("ip", "link", "add", "uplink", "type", "bridge")
        machine.run("ip", "address", "add", f"{ADDRESS}/24", "dev", "uplink")
        machine.run("ip", "link", "set", "uplink", "up")
        yield machine
    finally:
        host.run(["podman", "rm", "-f", "-t", "0", "systemd"])


def _add(root: Path, path: str, text: str, mode: int = 0o644) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def _release_and_sources() -> tuple[str, list[str]]:
    """This machine's release, and where it gets Debian's packages from."""
    lines = Path("/etc/os-release").read_text().replace('"', "").splitlines()
    release = dict(line.split("=", 1) for line in lines if "=" in line)
    form = "deb $(REPO_URI) $(CODENAME) $(COMPONENT)"
    words = ["apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian", "Component: main"]
    found = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return release["VERSION_CODENAME"], sorted(set(found.splitlines()))


def _debian_python() -> tuple[int, int]:
    words = ["dpkg-query", "--show", "--showformat=${Version}", "python3"]
    version = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
