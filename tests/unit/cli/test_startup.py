"""What a person waits for starts at once: `orchestr8 get` loads nothing of the daemons (docs/operations.md)."""

import json
import subprocess
import sys

HEAVY = [
    "trio",
    "anyio",
    "structlog",
    "podman",
    "cryptography",
    "rich",
    "httpx",
    "requests",
    "msgspec",
    "msgpack",
    "pysyncobj",
]

PROGRAM = f"""
import json, sys
from orchestr8.cli.main import main
try:
    main(sys.argv[1:], prog_name="orchestr8", standalone_mode=False)
finally:
    print(json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))), file=sys.stderr)
"""


def loaded(*words: str, kubeconfig: object = "", home: object = "/nowhere") -> list[str]:
    environment = {"KUBECONFIG": str(kubeconfig), "HOME": str(home), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, env=environment, check=True
    )
    return json.loads(done.stderr.splitlines()[-1])


def test_get_loads_no_library_of_the_daemons(cli, api):
    api.put("/api/v1/namespaces/default/pods/a", {"kind": "Pod", "metadata": {"name": "a", "namespace": "default"}})
    assert loaded("get", "pods", kubeconfig=cli.kubeconfig, home=cli.home) == []


def test_help_loads_no_library_of_the_daemons():
    assert loaded("--help") == []
