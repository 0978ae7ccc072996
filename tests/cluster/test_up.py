"""One host alone: `orchestr8 up`, then the example, as the README tells a newcomer."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.cluster.api import until
from tests.cluster.conftest import MakeLab

ROOT = Path(__file__).resolve().parents[2]
ORCHESTR8 = str(Path(sys.executable).parent / "orchestr8")
EXAMPLES = ROOT / "docs" / "examples"


def test_a_newcomer_runs_the_example_on_one_host(lab_of: MakeLab) -> None:
    with lab_of("h1") as lab:
        host = lab["h1"]

        def orchestr8(*arguments: str) -> str:
            return host.run([ORCHESTR8, *arguments], check=False, timeout_seconds=120).stdout

        host.run([str(EXAMPLES / "build-web-image.sh")], timeout_seconds=120)
        with (lab.folder / "up.log").open("wb") as log:
            process = host.popen([ORCHESTR8, "up"], stdout=log, stderr=log)
        until("the node is ready", lambda: orchestr8("get", "nodes"), holds=lambda text: " Ready " in text)
        assert "created" in orchestr8("apply", "-f", str(EXAMPLES / "web.yaml"))
        assert "rolled out: 3 of 3 available" in orchestr8("rollout", "status", "deployment/web")
        service = json.loads(orchestr8("get", "service", "web", "-o", "json"))
        url = f"http://{service['spec']['clusterIP']}/cgi-bin/who"
        names = {pod.split("/")[1] for pod in orchestr8("get", "pods", "-o", "name").split()}
        answered: set[str] = set()
        for _ in range(60):
            answered.add(host.run(["curl", "-sS", "--max-time", "5", url]).stdout.split()[0])
        assert answered == names
        process.terminate()
        assert process.wait(timeout=30) == 0
        left = json.loads(host.run(["podman", "ps", "--format=json"]).stdout)
        assert len(left) >= len(names), "the pods run on without the process"
