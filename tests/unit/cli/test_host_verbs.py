"""The verbs that set up a host: files on disk, and a real desk at the other end of `join`."""

import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
import trio
import yaml
from click.testing import CliRunner

from orchestr8 import config
from orchestr8.cli.main import main
from orchestr8.clock import Clock
from orchestr8.errors import Unavailable
from orchestr8.names import system_names
from orchestr8.pki import ca, certificates, contexts, files, renewal
from orchestr8.pki.bootstrap import BootstrapTokens
from orchestr8.pki.desk import Desk
from orchestr8.rpc.network import TlsNetwork
from orchestr8.rpc.server import serve
from tests.unit.pki.made import today


def run(*words, home="/nowhere"):
    return CliRunner().invoke(main, [str(word) for word in words], env={"HOME": str(home)}, catch_exceptions=False)


def ok(*words, home="/nowhere"):
    result = run(*words, home=home)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def first(tmp_path):
    """(the configuration of a first master that was set up, what was printed)."""
    file = tmp_path / "etc" / "master.toml"
    result = ok(
        *("master", "init", "--name", "m1", "--address", "127.0.0.1", "--member", "m2=127.0.0.2:7443"),
        *("--data-dir", tmp_path / "m1", "--config", file),
        home=tmp_path,
    )
    return file, result.stdout


def test_the_first_master_gets_ca_settings_kubeconfig_and_lines_for_the_others(first, tmp_path):
    file, said = first
    settings = config.load_master(file)
    assert settings.members == {"m1": "127.0.0.1:7443", "m2": "127.0.0.2:7443"}
    assert files.load_authority(tmp_path / "m1" / "pki") is not None
    written = yaml.safe_load((tmp_path / ".kube" / "config").read_text())
    assert written["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert "orchestr8 join 127.0.0.1:7443 o8." in said
    assert "--master --name m2" in said


def test_a_master_that_was_set_up_is_not_set_up_again(first, tmp_path):
    file, _ = first
    before = (tmp_path / "m1" / "pki" / "ca.key").read_bytes()
    result = run("master", "init", "--address", "127.0.0.1", "--data-dir", tmp_path / "m1", "--config", file)
    assert result.exit_code == 4
    assert "was set up before" in result.stderr
    assert (tmp_path / "m1" / "pki" / "ca.key").read_bytes() == before


def test_a_kubeconfig_for_a_viewer_names_every_master(first, tmp_path):
    file, _ = first
    document = yaml.safe_load(ok("kubeconfig", "--viewer", "jo", "--config", file).stdout)
    cluster = document["clusters"][0]["cluster"]
    assert cluster["extensions"][0]["extension"]["servers"] == ["https://127.0.0.1:6443", "https://127.0.0.2:6443"]


def test_a_kubeconfig_is_not_overwritten_by_accident(first, tmp_path):
    file, _ = first
    out = tmp_path / "jo.yaml"
    ok("kubeconfig", "--config", file, "-o", out)
    assert out.stat().st_mode & 0o777 == 0o600
    assert run("kubeconfig", "--config", file, "-o", out).exit_code == 4
    ok("kubeconfig", "--config", file, "-o", out, "--force")


def test_a_token_for_a_master_that_is_not_listed_is_refused(first):
    file, _ = first
    result = run("token", "for-member", "m9", "--config", file)
    assert result.exit_code == 1
    assert "there are: m2" in result.stderr


class NoQuorum:
    async def read_barrier(self):
        raise Unavailable("no quorum yet")


@contextmanager
def desk_of(folder, members):
    """A master's desk that serves joins, in a thread, before there is a quorum."""
    authority = files.load_authority(folder / "pki")
    identity = renewal.master_identity(folder / "pki", authority, "m1", ["127.0.0.1"], today())
    tls = TlsNetwork(client=contexts.rpc_client(identity.ca_pem, identity), server=contexts.rpc_server(identity))
    bootstrap = BootstrapTokens(folder / "bootstrap-tokens")
    desk = Desk(authority, members, NoQuorum(), Clock(), system_names(), bootstrap)
    told = threading.Event()
    found = {}

    async def body():
        async with trio.open_nursery() as nursery:
            found["scope"] = nursery.cancel_scope
            found["token"] = trio.lowlevel.current_trio_token()
            found["address"] = await nursery.start(serve, tls, "127.0.0.1:0", desk.service())
            told.set()

    thread = threading.Thread(target=trio.run, args=(body,))
    thread.start()
    assert told.wait(10)
    try:
        yield found["address"]
    finally:
        found["token"].run_sync_soon(found["scope"].cancel)
        thread.join()


def test_a_second_master_joins_with_the_printed_line_and_can_be_configured_from_it(first, tmp_path):
    _, said = first
    token = next(word for word in said.split() if word.startswith("o8."))
    members = {"m1": "127.0.0.1:7443", "m2": "127.0.0.2:7443"}
    words = ["--master", "--name", "m2", "--own-address", "127.0.0.2"]
    places = ["--data-dir", tmp_path / "m2", "--config-dir", tmp_path / "etc2"]
    with desk_of(tmp_path / "m1", members) as address:
        ok("join", address, token, *words, *places)
        again = run("join", address, token, *words, *places)
        replayed = run("join", address, token, *words, "--data-dir", tmp_path / "m3", "--config-dir", tmp_path / "etc3")
    (tmp_path / "etc2" / "master.toml").write_text("")
    settings = config.load_master(tmp_path / "etc2" / "master.toml")
    assert (settings.master.name, settings.master.address, settings.members) == ("m2", "127.0.0.2", members)
    assert settings.master.data_dir == str(tmp_path / "m2")
    joined = files.load_authority(tmp_path / "m2" / "pki")
    assert joined.key_pem == files.load_authority(tmp_path / "m1" / "pki").key_pem
    identity = files.load_identity(tmp_path / "m2" / "pki")
    assert certificates.read(identity.certificate_pem).name == "system:master:m2"
    assert again.exit_code == 4
    assert "has joined already" in again.stderr
    assert replayed.exit_code != 0
    assert not (tmp_path / "m3").exists()


def test_joining_a_cluster_with_another_ca_sends_nothing(first, tmp_path):
    _, said = first
    token = next(word for word in said.split() if word.startswith("o8."))
    files.save_authority(tmp_path / "other" / "pki", ca.create(today()))
    with desk_of(tmp_path / "other", {"m1": "127.0.0.1:7443"}) as address:
        result = run(
            *("join", address, token, "--master", "--name", "m2", "--own-address", "127.0.0.2"),
            *("--data-dir", tmp_path / "m2", "--config-dir", tmp_path / "etc2"),
        )
    assert result.exit_code == 5
    assert "Nothing was sent" in result.stderr


def test_half_a_token_is_refused_before_anything_is_dialled(tmp_path):
    result = run("join", "127.0.0.1:1", "o8.abc", "--data-dir", tmp_path, "--own-address", "127.0.0.1")
    assert result.exit_code == 1
    assert "was it pasted whole?" in result.stderr


def test_install_places_units_that_call_this_program_and_uninstall_removes_them(tmp_path):
    ok("install", "--unit-dir", tmp_path)
    for unit in ("orchestr8-master.service", "orchestr8-worker.service"):
        text = (tmp_path / unit).read_text()
        assert "ExecStart=" in text
        assert "ExecStart=/usr/local/bin/orchestr8 " not in text
    ok("uninstall", "--unit-dir", tmp_path)
    assert list(tmp_path.glob("*.service")) == []


def test_a_daemon_with_a_wrong_setting_ends_with_the_nearest_name(tmp_path):
    file = tmp_path / "master.toml"
    file.write_text('[master]\nnme = "m1"\n')
    result = run("master", "--config", file)
    assert result.exit_code == 2
    assert "did you mean name?" in result.stderr


def test_a_worker_that_has_not_joined_says_how_to(tmp_path):
    code = subprocess.run(
        [sys.executable, "-m", "orchestr8", "worker", "--name", "w1", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert code.returncode == 2
    assert "has not joined a cluster" in code.stderr
    assert "Traceback" not in code.stderr


def test_a_setting_without_an_equals_sign_is_a_usage_error(tmp_path):
    result = run("worker", "--set", "worker.max_pods")
    assert result.exit_code == 2
    assert "write SECTION.KEY=VALUE" in result.stderr
