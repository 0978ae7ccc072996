"""What a newcomer types first: the demo tells its whole story, stays up if asked, and leaves nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.cluster.lab import record

ROOT = Path(__file__).resolve().parents[2]


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.demo", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def test_the_demo_tells_its_whole_story_stays_up_for_kubectl_and_leaves_nothing_when_taken_down() -> None:
    assert record.kept("demo") == [], "a demo was left up: `make demo-down` takes it down"
    try:
        told = demo("up", "--keep")
        assert told.returncode == 0, told.stdout + told.stderr
        steps = re.findall(r"^ *(\d+)\. .+\n    done in \d+\.\d\d s$", told.stdout, re.MULTILINE)
        assert steps == [str(number) for number in range(1, 10)]
        assert "; 0 failed" in told.stdout
        kubeconfig, kubectl = re.findall(r"KUBECONFIG=(\S+/kubeconfig)\n *(\S+/kubectl) get pods", told.stdout)[0]
        pods = subprocess.run(
            [kubectl, "get", "pods", "--no-headers"],
            env={**os.environ, "KUBECONFIG": kubeconfig},
            capture_output=True,
            text=True,
            check=True,
        )
        assert [line.split()[2] for line in pods.stdout.splitlines()] == ["Running"] * 3
    finally:
        ended = demo("down")
    assert ended.returncode == 0, ended.stderr
    assert "nothing is left" in ended.stdout
    assert demo("down").stdout == "no demo is up\n"
