"""Settings: precedence, and refusals that name origin, key and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestr8.config import load_master, load_worker, systemd_environment
from orchestr8.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_file_then_drop_in_then_environment_then_flags(tmp_path: Path) -> None:
    file = write(
        tmp_path / "master.toml", '[master]\nname = "m1"\napi_port = 1\nrpc_port = 1\n[log]\nlevel = "debug"\n'
    )
    write(tmp_path / "master.d/10-port.toml", "[master]\napi_port = 2\nrpc_port = 2\n")
    settings = load_master(
        file, environ={"ORCHESTR8_MASTER_API_PORT": "3", "ORCHESTR8_MASTER_RPC_PORT": "3"}, flags={"master.api_port": 4}
    )
    assert (settings.master.api_port, settings.master.rpc_port, settings.log.level) == (4, 3, "debug")


def test_flags_that_were_not_given_change_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "worker.toml", '[worker]\nname = "w1"\nmax_pods = 7\n')
    assert load_worker(file, environ={}, flags={"worker.max_pods": None}).worker.max_pods == 7


def test_a_list_in_the_environment_is_json() -> None:
    settings = load_worker(environ={"ORCHESTR8_WORKER_NAME": "w1", "ORCHESTR8_WORKER_MASTERS": '["a:1", "b:2"]'})
    assert settings.worker.masters == ("a:1", "b:2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[master]\nname = "m1"\napi_prot = 1\n', r"master.toml:3: unknown key master.api_prot; did you mean api_port"),
        ('[mastr]\nname = "m1"\n', r"master.toml:1: unknown section \[mastr\]; did you mean master"),
        ('[master]\nname = "m1"\napi_port = "x"\n', r"Expected `int`.*master.api_port"),
        ('[master]\nname = "M 1"\n', "master.name is 'M 1'"),
        ("[master]\n", "master.name is ''"),
        ('[master]\nname = "m1"\naddress = "here"\n', "master.address is 'here'"),
        ('[master]\nname = "m9"\n[members]\nm1 = "10.0.0.1:7443"\n', "m9.*does not list"),
        ('[master]\nname = "m1"\n[members]\nm1 = "10.0.0.1"\n', "members.m1.*host:port"),
        ('[master]\nname = "m1"\n[network]\nservice_cidr = "10.70.4.0/24"\n', "overlap"),
        ('[master]\nname = "m1"\n[network]\ncluster_cidr = "10.70.0.0/28"\n', "too small"),
        ('[master]\nname = "m1"\n[network]\nnode_port_range = "5"\n', "node_port_range"),
        ('[master]\nname = "m1"\n[log]\nlevel = "loud"\n', "log.level is 'loud'"),
        ("[master\n", "not valid TOML"),
        ('master = "m1"\n', "must be a section"),
    ],
)
def test_a_bad_setting_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path / "master.toml", text)
    with pytest.raises(ConfigError, match=message):
        load_master(file, environ={})


def test_a_bad_number_in_the_environment_names_its_key() -> None:
    with pytest.raises(ConfigError, match=r"environment, master\.api_port"):
        load_master(environ={"ORCHESTR8_MASTER_NAME": "m1", "ORCHESTR8_MASTER_API_PORT": "many"})


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_master(tmp_path / "absent.toml", environ={})


def test_the_watchdog_of_another_process_is_not_ours() -> None:
    assert systemd_environment({"WATCHDOG_USEC": "20000000"}).watchdog_seconds == 20.0
    assert systemd_environment({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}).watchdog_seconds == 0.0
