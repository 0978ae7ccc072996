"""One machine of the lab: network, mount, pid, uts, ipc and cgroup namespaces below an init that reaps.

The host sees the machine's own files, but /etc, /root, /var/lib and what it writes there are its own (overlays that
survive ``power_off``), /run and /dev/shm are empty at each boot, and /var/lib/containers is a folder of its own on a
real disk. Its boot id changes with each boot. ``power_off`` is a power cut: nothing gets a chance to say goodbye.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cluster.lab import cgroups
from tests.cluster.lab.segment import LabFailed, Segment

_OVERLAYS = ("etc", "root", "var/lib")
_BASE_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    # podman 5 warns on every call otherwise
    "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
}
_CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
image_copy_tmp_dir = "/var/lib/containers/tmp"
[network]
network_backend = "netavark"
"""
_REGISTRIES_CONF = """\
[[registry]]
location = "{registry}"
insecure = true
"""
_END_SECONDS = 10.0


class CommandFailed(Exception):
    """A command in a host ended with another exit code than 0."""

    def __init__(self, host: str, argv: Sequence[str], done: subprocess.CompletedProcess[str]) -> None:
        super().__init__(
            f"{host}: `{shlex.join(argv)}` ended with {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
        self.returncode = done.returncode
        self.stdout = done.stdout
        self.stderr = done.stderr


class HostProcess(subprocess.Popen[Any]):
    """A process in a host. Signals go to the command itself, not to the helper that entered the namespaces."""

    @property
    def inner_pid(self) -> int:
        """Pid of the command as seen from outside the host; 0 once it has ended."""
        deadline = time.monotonic() + 2
        while self.poll() is None and time.monotonic() < deadline:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
            try:
                pids = children.read_text().split()
            except OSError:
                return 0
            if pids:
                return int(pids[0])
            time.sleep(0.002)
        return 0

    def send_signal(self, sig: int) -> None:
        """SIGSTOP stops the helper as well (it follows its child); SIGCONT therefore goes to both."""
        pid = self.inner_pid
        if not pid:
            return
        os.kill(pid, sig)
        if sig == signal.SIGCONT:
            os.kill(self.pid, sig)


class Host:
    """``lab[name]``. ``ip``: its address on the lab's segment. ``folder``: its disk, as seen from outside.
    ``netns``: the name of its network namespace, for ``nsenter --net=/run/netns/NAME`` from outside."""

    def __init__(self, lab_id: str, name: str, ip: str, folder: Path, segment: Segment) -> None:
        self.name = name
        self.ip = ip
        self.folder = folder
        self.netns = f"o8lab-{lab_id}-{name}"
        self._lab_id = lab_id
        self._segment = segment
        self._cgroups: list[Path] = []
        self._init_pid = 0
        self._started: list[subprocess.Popen[Any]] = []

    # -- using it -----------------------------------------------------------------------------------

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        timeout_seconds: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end; output as text. Raises CommandFailed unless ``check`` is False."""
        done = subprocess.run(
            self.command(argv, cwd=cwd),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            env={**_BASE_ENVIRONMENT, **(env or {})},
            timeout=timeout_seconds,
            check=False,
        )
        if check and done.returncode != 0:
            raise CommandFailed(self.name, argv, done)
        return done

    def popen(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str = "/", **options: Any
    ) -> HostProcess:
        """Starts a command that runs on; it is killed when this process's handle is, and with the host's power.
        ``options`` go to ``subprocess.Popen`` (stdin, stdout, text, ...)."""
        options.setdefault("stdin", subprocess.DEVNULL)
        process = HostProcess(
            self.command(argv, cwd=cwd),
            env={**_BASE_ENVIRONMENT, **(env or {})},
            start_new_session=True,
            **options,
        )
        self._started.append(process)
        return process

    def command(self, argv: Sequence[str], *, cwd: str = "/") -> list[str]:
        """The full command line that runs ``argv`` in the host, for ``trio.run_process``; the environment is the
        caller's."""
        if not self.is_on:
            raise LabFailed(f"{self.name} is off: boot() it first")
        return entering(self.name, self._init_pid, self._cgroups, ["env", "-C", cwd, *argv])

    def processes(self) -> set[int]:
        """Pids (as seen from outside) of everything that runs in the host, init included."""
        return cgroups.processes(self._lab_id, self.name)

    @property
    def is_on(self) -> bool:
        return self._init_pid != 0

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Puts a file below /etc, /root or /var/lib of the host (which may be off)."""
        for part in _OVERLAYS:
            if path.startswith(f"/{part}/"):
                target = self.folder / part / "upper" / Path(path).relative_to(f"/{part}")
                break
        else:
            raise ValueError(f"{path}: only /etc, /root and /var/lib belong to the host alone")
        if self.is_on:
            script = 'mkdir -p "${1%/*}" && cat >"$1" && chmod "$2" "$1"'
            self.run(["sh", "-c", script, "write", path, f"{mode:o}"], input=text)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    # -- power --------------------------------------------------------------------------------------

    def boot(self) -> None:
        """On (again), on the old disk, with the old address and a new boot id. Cuts at this host are forgotten."""
        if self.is_on:
            raise LabFailed(f"{self.name} is on already")
        self._segment.connect(self.name, self.netns, self.ip)
        folders = cgroups.create(self._lab_id, self.name)
        script = self.folder / "init.sh"
        script.write_text(self._init_script())
        (self.folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
        enter = f"{_join(folders)}exec nsenter --net=/run/netns/{self.netns}"
        log = self.folder / "boot.log"
        with log.open("wb") as errors:
            starter = subprocess.Popen(
                [
                    *("sh", "-c", f'{enter} "$@"', f"boot-{self.name}"),
                    *("unshare", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--mount-proc"),
                    *("sh", str(script)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_BASE_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        self._started.append(starter)
        assert starter.stdout is not None
        with starter.stdout as output:
            ready = output.readline()
        if ready != b"ready\n":
            raise LabFailed(f"{self.name} did not boot: {log.read_text().strip()}")
        children = Path(f"/proc/{starter.pid}/task/{starter.pid}/children").read_text().split()
        self._cgroups = cgroups.settle(self._lab_id, self.name)
        self._init_pid = int(children[0])

    def power_off(self) -> None:
        """A power cut: the cable goes silent, so that peers see no farewell, then all is gone. Off: nothing to do."""
        if not self.is_on:
            return
        self._segment.silence(self.name)
        os.kill(self._init_pid, signal.SIGKILL)
        self.reap()
        self._segment.disconnect(self.name, self.netns)
        cgroups.remove(self._lab_id, self.name)

    def reap(self) -> None:
        """Waits for the end of all that this object started; call it when the host's init has been killed."""
        for process in self._started:
            process.wait(timeout=_END_SECONDS)
        self._started.clear()
        self._init_pid = 0

    def prepare_disk(self, hosts_file: str, registry: str) -> None:
        for part in _OVERLAYS:
            for layer in ("upper", "work"):
                (self.folder / part / layer).mkdir(parents=True)
        (self.folder / "containers").mkdir()
        self.write("/etc/hostname", f"{self.name}\n")
        self.write("/etc/hosts", hosts_file)
        self.write("/etc/machine-id", f"{uuid.uuid4().hex}\n")
        # The machine's own is often a link into /run, which is empty here; and there is nobody to ask.
        self.write("/etc/resolv.conf", "options timeout:1 attempts:1\n")
        self.write("/etc/containers/containers.conf", _CONTAINERS_CONF)
        self.write("/etc/containers/registries.conf", _REGISTRIES_CONF.format(registry=registry))

    def _init_script(self) -> str:
        overlays = "\n".join(
            f"mount -t overlay -o lowerdir=/{part},upperdir={self.folder}/{part}/upper,"
            f"workdir={self.folder}/{part}/work overlay /{part}"
            for part in _OVERLAYS
        )
        return f"""set -e
hostname {self.name}
{cgroups.mount_script(self._lab_id, self.name)}
if mountpoint -q /run/netns; then umount -R /run/netns; fi
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns
mount -t tmpfs tmpfs /dev/shm
{overlays}
mkdir -p /var/lib/containers
mount --bind {self.folder}/containers /var/lib/containers
mkdir -p /var/lib/containers/tmp
mount --bind {self.folder}/boot_id /proc/sys/kernel/random/boot_id
echo ready
exec catatonit -P >/dev/null
"""


def entering(name: str, init_pid: int, folders: Sequence[Path], argv: Sequence[str]) -> list[str]:
    """The command line that runs ``argv`` in the host of this init; ``folders``: see ``cgroups.settle``."""
    enter = f"nsenter --target {init_pid} --mount --uts --ipc --net --pid --cgroup"
    start = ("sh", "-c", f'{_join(folders)}exec {enter} -- "$@"', f"in-{name}")
    return [*start, "setpriv", "--pdeathsig", "KILL", *argv]


def _join(folders: Sequence[Path]) -> str:
    return "".join(f"echo $$ >{folder}/cgroup.procs && " for folder in folders)
