"""`exec` over a real WebSocket to a small server that speaks Kubernetes' channels."""

import json
import os
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestr8.cli.http import Api
from orchestr8.cli.verbs.exec import _relay
from orchestr8.cli.websocket import Channels
from orchestr8.client.access import load
from tests.unit.cli.standin import status

EXEC = "/api/v1/namespaces/default/pods/web-1/exec"


def ended(code=0):
    """The last message: how the command ended."""
    said = {"status": "Success"}
    if code:
        causes = [{"reason": "ExitCode", "message": str(code)}]
        said = {"status": "Failure", "reason": "NonZeroExitCode", "message": "failed", "details": {"causes": causes}}
    return bytes([3]) + json.dumps(said).encode()


def test_output_goes_to_stdout_and_stderr_and_the_exit_code_is_the_commands(cli, api):
    api.shell = lambda heard: [b"\x01out\n", b"\x02err\n", ended(7)]
    result = cli("exec web-1 -c app -- sh -c exit")
    assert (result.exit_code, result.stdout, result.stderr) == (7, "out\n", "err\n")
    query = parse_qs(urlsplit(api.requests[-1][1]).query)
    assert query["command"] == ["sh", "-c", "exit"]
    assert query["container"] == ["app"]
    assert "stdin" not in query


def test_options_after_the_command_belong_to_it(cli, api):
    api.shell = lambda heard: [ended()]
    cli.ok("exec web-1 -- ls -n -l --all")
    assert parse_qs(urlsplit(api.requests[-1][1]).query)["command"] == ["ls", "-n", "-l", "--all"]


def test_standard_input_is_passed_on_and_closed(cli, api, monkeypatch):
    read, write = os.pipe()
    os.write(write, b"hello\n")
    os.close(write)
    api.shell = lambda heard: [b"\x015\n", ended()] if heard[-1:] == [b"\xff\x00"] else []
    reached = Api(load([cli.kubeconfig]))
    with os.fdopen(read) as stdin:
        # The runner of the other tests puts a stdin in place that is no file: the relay is called as exec calls it.
        monkeypatch.setattr("sys.stdin", stdin)
        assert _relay(Channels(reached, f"{EXEC}?command=wc&stdin=true&stdout=true"), True, False) == 0
    reached.close()
    assert api.heard == [b"\x00hello\n", b"\xff\x00"]


def test_a_refused_exec_says_why(cli, api):
    api.canned[("GET", EXEC)] = (404, status(404, "NotFound", 'pods "web-1" not found'))
    result = cli("exec web-1 -- true")
    assert result.exit_code == 3
    assert 'pods "web-1" not found' in result.stderr


def test_a_server_that_goes_away_in_the_middle_is_an_error(cli, api):
    def vanish(heard):
        raise ConnectionResetError

    api.shell = vanish
    result = cli("exec web-1 -- sleep 9")
    assert result.exit_code == 6


@pytest.mark.parametrize("line", ["exec web-1", "exec deploy/web -- true"])
def test_exec_needs_a_pod_and_a_command(cli, line):
    assert cli(line).exit_code in (1, 2)
