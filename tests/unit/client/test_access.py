import base64

import pytest
import yaml

from orchestr8.client.access import EXTENSION, load, ssl_context
from orchestr8.errors import ConfigError
from orchestr8.pki import ca, certificates, kubeconfig
from tests.unit.pki.made import NOW


def write(path, **changes):
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "prod"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://10.0.0.1:6443"}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
        **changes,
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_what_a_master_writes_is_what_a_client_reads(tmp_path):
    authority = ca.create(NOW)
    servers = ["https://10.0.0.1:6443", "https://10.0.0.2:6443"]
    path = tmp_path / "config"
    path.write_text(kubeconfig.render(authority, certificates.admin(), servers, NOW))
    access = load([path])
    assert access.servers == tuple(servers)
    assert access.ca_pem == authority.certificate_pem
    assert certificates.read(access.certificate_pem).name == "kubernetes-admin"
    assert ssl_context(access).check_hostname
    assert EXTENSION == kubeconfig.EXTENSION


def test_the_context_names_cluster_user_and_namespace(tmp_path):
    access = load([write(tmp_path / "config")])
    assert (access.servers, access.namespace, access.token) == (("https://10.0.0.1:6443",), "prod", "secret")
    assert "secret" not in repr(access)


def test_the_first_file_that_has_a_name_wins(tmp_path):
    first = write(tmp_path / "a", users=[{"name": "u", "user": {"token": "first"}}], clusters=[])
    second = write(tmp_path / "b")
    access = load([first, tmp_path / "missing", second])
    assert (access.token, access.servers) == ("first", ("https://10.0.0.1:6443",))


def test_paths_are_relative_to_their_file(tmp_path):
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "ca.pem").write_bytes(b"the CA")
    cluster = {"server": "https://10.0.0.1:6443", "certificate-authority": "pki/ca.pem"}
    assert load([write(tmp_path / "config", clusters=[{"name": "k", "cluster": cluster}])]).ca_pem == b"the CA"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"current-context": ""}, "choose one with --context"),
        ({"contexts": []}, "contexts has no 'c'; there are: none"),
        ({"users": [{"name": "other", "user": {}}]}, "users has no 'u'; there are: other"),
        ({"clusters": [{"name": "k", "cluster": {"server": "http://10.0.0.1"}}]}, "must be https"),
        ({"users": [{"name": "u", "user": {"exec": {"command": "x"}}}]}, "not supported"),
        ({"users": [{"name": "u", "user": {"client-key-data": "%%"}}]}, "client-key"),
        ({"users": [{"name": "u", "user": {"client-key": "nowhere"}}]}, "No such file"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_says_why(tmp_path, changes, reason):
    with pytest.raises(ConfigError, match=reason):
        load([write(tmp_path / "config", **changes)])


def test_without_any_file_it_says_how_to_get_one(tmp_path):
    with pytest.raises(ConfigError, match="orchestr8 kubeconfig"):
        load([tmp_path / "missing"])


def test_a_certificate_without_its_key_is_named(tmp_path):
    junk = base64.b64encode(b"junk").decode()
    user = {"client-certificate-data": junk, "client-key-data": junk}
    access = load([write(tmp_path / "config", users=[{"name": "u", "user": user}])])
    with pytest.raises(ConfigError, match="context c: certificate or key cannot be used"):
        ssl_context(access)
