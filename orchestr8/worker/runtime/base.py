"""The verbs of a container runtime, as the agent needs them. Podman serves them for real, a fake for simulation.

A *sandbox* is what the containers of one pod share (network, ipc and uts namespaces). Every sandbox and container
carries labels; labels are the only memory of what is ours: ``list_sandboxes`` after a restart tells everything.
Every verb either succeeds, raises an error named here, or is cancelled by the caller's deadline.
A verb on an id that is unknown raises ContainerNotFound unless its docstring says otherwise.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Protocol

import msgspec

from orchestr8.errors import Orchestr8Error

LABEL_POD_UID = "io.orchestr8.pod.uid"  # present: ours. Absent: somebody else's, never touched
LABEL_POD_NAMESPACE = "io.orchestr8.pod.namespace"
LABEL_POD_NAME = "io.orchestr8.pod.name"
LABEL_POD_IP = "io.orchestr8.pod.ip"
LABEL_CONTAINER_NAME = "io.orchestr8.container.name"
LABEL_CONTAINER_ATTEMPT = "io.orchestr8.container.attempt"

EXIT_CODE_UNKNOWN = -1  # nobody was there to see it: the monitor died or the host went down


class RuntimeUnavailable(Orchestr8Error):
    """The runtime does not answer; nothing is known about the outcome. Try again later."""

    code = "RuntimeUnavailable"


class RuntimeFailed(Orchestr8Error):
    """The runtime refused or failed the verb; ``message`` is fit for a pod's status."""

    code = "RuntimeFailed"


class ImagePullFailed(Orchestr8Error):
    """The registry or the image is at fault; ``message`` says which and how."""

    code = "ImagePullFailed"


class ContainerNotFound(Orchestr8Error):
    code = "ContainerNotFound"


class ContainerPhase(Enum):
    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A bind mount of a path of the host."""

    source: str
    target: str
    read_only: bool = False


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """``labels`` are added to those that tell pod uid, namespace and name."""

    pod_uid: str
    namespace: str
    name: str
    hostname: str
    labels: Mapping[str, str] = {}


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """``network_pid``: a process that lives in the sandbox's network namespace; 0 when it is not running.

    ``containers`` are ordered by name, then attempt.
    """

    id: str
    pod_uid: str
    labels: Mapping[str, str]
    network_pid: int
    created_at: dt.datetime
    containers: tuple[ContainerState, ...] = ()


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """``memory_bytes``, ``cpu_millis``: limits set in the cgroup, 0 = none. ``cpu_shares``: weight from requests.

    ``command`` replaces the image's entry point *and* its arguments; ``args`` alone only the arguments.
    """

    name: str
    attempt: int
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    working_dir: str = ""
    mounts: tuple[Mount, ...] = ()
    memory_bytes: int = 0
    cpu_millis: int = 0
    cpu_shares: int = 0
    pids_limit: int = 4096
    oom_score_adj: int = 0
    tty: bool = False
    stdin: bool = False
    read_only_root: bool = False
    privileged: bool = False
    no_new_privileges: bool = False
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    user: str = ""
    labels: Mapping[str, str] = {}


class ContainerState(msgspec.Struct, frozen=True, kw_only=True):
    """What the runtime knows of one container.

    ``exit_code`` is EXIT_CODE_UNKNOWN when nobody saw it end: its monitor died (``keeper_lost``) or the host crashed.
    ``oom_killed``: the main process itself died of it.
    """

    id: str
    name: str
    attempt: int
    phase: ContainerPhase
    image: str
    image_id: str = ""
    created_at: dt.datetime | None = None
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    keeper_lost: bool = False
    pid: int = 0
    labels: Mapping[str, str] = {}


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """``user``: whom its processes run as unless told otherwise; empty: root. ``find_image`` tells it, lists do not."""

    id: str
    names: tuple[str, ...]
    size_bytes: int
    user: str = ""


class RuntimeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to a container of ours: a reason to look, never a fact to rely on."""

    pod_uid: str
    container_id: str
    what: str


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    follow: bool = False
    tail_lines: int | None = None
    since: dt.datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


class ExecSpec(msgspec.Struct, frozen=True, kw_only=True):
    command: tuple[str, ...]
    tty: bool = False
    stdin: bool = False


class ExecSession(Protocol):
    """One command inside a running container."""

    async def send(self, data: bytes) -> None: ...
    async def send_eof(self) -> None: ...
    async def resize(self, columns: int, rows: int) -> None: ...

    async def receive(self) -> tuple[str, bytes] | None:
        """The next piece of output as (``"stdout"`` or ``"stderr"``, data); None when the command ended."""
        ...

    async def exit_code(self) -> int: ...


class Runtime(Protocol):
    async def ping(self) -> None:
        """Raises RuntimeUnavailable unless the runtime answers."""
        ...

    async def version(self) -> str: ...

    async def list_sandboxes(self) -> list[Sandbox]:
        """All sandboxes that carry our label, with all their containers, whatever state they are in."""
        ...

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        """Creates and starts it, without network: the caller attaches one. A second call for one uid fails."""
        ...

    async def start_sandbox(self, sandbox_id: str) -> Sandbox:
        """Starts a sandbox whose namespaces were lost (reboot); its network must be attached anew."""
        ...

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Kills what still runs in it and removes everything. An unknown id is success."""
        ...

    async def create_container(self, sandbox: Sandbox, spec: ContainerSpec) -> str:
        """Its id. The image must be here already; (name, attempt) taken already: RuntimeFailed."""
        ...

    async def start_container(self, container_id: str) -> ContainerState:
        """The state right after the start; a process that cannot be executed raises RuntimeFailed."""
        ...

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        """SIGTERM, then SIGKILL after the grace; returns when it has ended. Not running or unknown: success."""
        ...

    async def remove_container(self, container_id: str) -> None:
        """Kills it if it still runs. An unknown id is success."""
        ...

    async def inspect_container(self, container_id: str) -> ContainerState: ...

    async def find_image(self, reference: str) -> Image | None: ...
    async def pull_image(self, reference: str) -> Image:
        """Takes as long as the caller's deadline allows; raises ImagePullFailed."""
        ...

    async def list_images(self) -> list[Image]: ...

    def events(self) -> AbstractAsyncContextManager[AsyncIterator[RuntimeEvent]]:
        """Ends of processes and the like, from now on. A reader that falls far behind misses some: list again."""
        ...

    def logs(self, container_id: str, options: LogOptions) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Whole lines in pieces; following ends when the container has ended."""
        ...

    def exec(self, container_id: str, spec: ExecSpec) -> AbstractAsyncContextManager[ExecSession]:
        """Leaving the context early kills the command."""
        ...
