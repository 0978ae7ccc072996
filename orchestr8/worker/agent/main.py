"""The agent on this host: opens the real files and runs ``agent.run_on``. The simulation calls that one itself."""

from __future__ import annotations

from pathlib import Path
from random import Random

import trio

from orchestr8.clock import Clock
from orchestr8.rpc.network import Network
from orchestr8.worker.agent.agent import run_on
from orchestr8.worker.agent.node.linux import open_host
from orchestr8.worker.agent.settings import AgentSettings
from orchestr8.worker.network.base import PodNetwork
from orchestr8.worker.runtime.base import Runtime


async def run_agent(
    settings: AgentSettings,
    runtime: Runtime,
    pod_network: PodNetwork,
    rpc_network: Network,
    clock: Clock,
    random: Random,
    *,
    state_dir: Path,
    run_dir: Path,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Runs until cancelled; pods stay. Started when the pods that are to run here are known and looked after.

    ``state_dir`` survives a reboot; ``run_dir`` does not, and holds what may never touch a disk. Raises
    RuntimeUnavailable when the runtime does not answer at the start, ConfigError for unreadable settings.
    """
    host = await open_host(state_dir, run_dir)
    await run_on(
        host,
        settings,
        runtime=runtime,
        pod_network=pod_network,
        rpc_network=rpc_network,
        clock=clock,
        random=random,
        task_status=task_status,
    )
