import base64
import datetime as dt
import random
import ssl

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestr8.errors import BadRequest, CorruptState, Unauthenticated
from orchestr8.pki import bearer, ca, certificates, contexts, kubeconfig
from orchestr8.pki.files import load_authority, load_identity, save_authority, save_identity
from orchestr8.pki.renewal import due_at, is_expired, master_identity
from tests.unit.pki.made import NOW, identity

AUTHORITY = ca.create(NOW)
DAY = dt.timedelta(days=1)


def test_the_ca_lives_ten_years_and_starts_an_hour_ago():
    certificate = AUTHORITY.certificate
    assert certificate.not_valid_before_utc == NOW - dt.timedelta(hours=1)
    assert certificate.not_valid_after_utc - NOW >= 3652 * DAY


def test_the_ca_key_is_in_no_representation():
    assert "PRIVATE" not in repr(AUTHORITY) + repr(identity(AUTHORITY, certificates.node("w1"), NOW))


@pytest.mark.parametrize(
    ("subject", "name", "organisation", "days"),
    [
        (certificates.master("m1", ["10.0.0.1"]), "system:master:m1", "system:masters-internal", 90),
        (certificates.node("w1"), "system:node:w1", "system:nodes", 90),
        (certificates.admin(), "kubernetes-admin", "system:masters", 365),
        (certificates.viewer("jo"), "jo", "orchestr8:viewers", 365),
    ],
)
def test_each_identity_has_its_name_role_and_life(subject, name, organisation, days):
    known = certificates.read(identity(AUTHORITY, subject, NOW).certificate_pem)
    assert (known.name, known.organisation) == (name, organisation)
    assert known.not_before == NOW - dt.timedelta(hours=1)
    assert known.not_after == NOW + days * DAY


def test_a_leaf_never_outlives_its_ca():
    late = NOW + 3650 * DAY
    known = certificates.read(identity(AUTHORITY, certificates.node("w1"), late).certificate_pem)
    assert known.not_after == AUTHORITY.certificate.not_valid_after_utc


def test_a_master_is_known_by_addresses_names_and_localhost():
    known = certificates.read(
        identity(AUTHORITY, certificates.master("m1", ["10.0.0.1", "m1.lan", "fd00::1"]), NOW).certificate_pem
    )
    assert set(known.addresses) == {"10.0.0.1", "m1.lan", "fd00::1", "127.0.0.1", "::1", "localhost"}


def test_a_request_carries_its_key_and_addresses():
    key = ca.new_key()
    request = certificates.read_request(certificates.signing_request(key, certificates.master("m2", ["10.0.0.2"])))
    assert request.public_key == key.public_key()
    assert "10.0.0.2" in request.addresses


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_a_request_raise_anything_but_bad_request(data):
    with pytest.raises(BadRequest):
        certificates.read_request(data)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_request_with_a_changed_byte_is_refused_or_keeps_its_key(position, value):
    pem = bytearray(REQUEST)
    pem[position % len(pem)] = value
    try:
        request = certificates.read_request(bytes(pem))
    except BadRequest:
        return
    assert request.public_key == REQUEST_KEY.public_key()


REQUEST_KEY = ca.new_key()
REQUEST = certificates.signing_request(REQUEST_KEY, certificates.node("w1"))


def test_a_certificate_of_another_ca_was_not_issued_here():
    other = identity(ca.create(NOW), certificates.node("w1"), NOW)
    with pytest.raises(Unauthenticated, match="not issued by the cluster's CA"):
        ca.check_issued(AUTHORITY.certificate, ca.certificate_from_pem(other.certificate_pem))


def test_a_ca_with_the_key_of_another_does_not_load():
    with pytest.raises(CorruptState, match="does not belong"):
        ca.load(AUTHORITY.certificate_pem, ca.create(NOW).key_pem)


def test_what_is_saved_is_loaded_and_keys_are_private(tmp_path):
    kept = identity(AUTHORITY, certificates.node("w1"), NOW)
    assert load_authority(tmp_path) is None
    assert load_identity(tmp_path) is None
    save_authority(tmp_path, AUTHORITY)
    save_identity(tmp_path, kept)
    assert load_identity(tmp_path) == kept
    assert load_authority(tmp_path).key_pem == AUTHORITY.key_pem
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "ca.key": 0o600,
        "tls.key": 0o600,
        "ca.crt": 0o644,
        "tls.crt": 0o644,
    }


def test_a_master_keeps_its_identity_until_it_is_due(tmp_path):
    first = master_identity(tmp_path, AUTHORITY, "m1", ["10.0.0.1"], NOW)
    assert master_identity(tmp_path, AUTHORITY, "m1", ["10.0.0.1"], NOW + 50 * DAY) == first
    assert master_identity(tmp_path, AUTHORITY, "m1", ["10.0.0.1"], NOW + 61 * DAY) != first


@pytest.mark.parametrize("days", [100, 1000], ids=lambda d: f"off for {d} days")
def test_a_master_that_was_off_makes_itself_a_new_identity(tmp_path, days):
    old = master_identity(tmp_path, AUTHORITY, "m1", ["10.0.0.1"], NOW)
    later = NOW + days * DAY
    assert is_expired(old, later)
    assert not is_expired(master_identity(tmp_path, AUTHORITY, "m1", ["10.0.0.1"], later), later)


def test_a_master_with_another_address_gets_another_certificate(tmp_path):
    master_identity(tmp_path, AUTHORITY, "m1", ["10.0.0.1"], NOW)
    moved = master_identity(tmp_path, AUTHORITY, "m1", ["10.0.0.99"], NOW)
    assert "10.0.0.99" in certificates.read(moved.certificate_pem).addresses


def test_certificates_are_due_at_two_thirds_of_their_life_spread_over_five_days():
    kept = identity(AUTHORITY, certificates.node("w1"), NOW)
    due = [due_at(kept, random.Random(seed)) - NOW for seed in range(200)]
    assert 59 * DAY < min(due) < 61 * DAY
    assert 64 * DAY < max(due) < 66 * DAY


def test_contexts_speak_only_what_they_should():
    kept = identity(AUTHORITY, certificates.master("m1", []), NOW)
    server, api = contexts.rpc_server(kept), contexts.api_server(kept)
    assert server.minimum_version == ssl.TLSVersion.TLSv1_3
    assert api.minimum_version == ssl.TLSVersion.TLSv1_2
    assert server.verify_mode == api.verify_mode == ssl.CERT_OPTIONAL
    assert contexts.rpc_client(kept.ca_pem, kept).check_hostname


# -- bearer tokens ------------------------------------------------------------------------------------------

WHO = bearer.Bearer("jo", ("orchestr8:viewers",))


def test_a_bearer_token_names_its_user_until_it_ends():
    text = bearer.sign(AUTHORITY, WHO, NOW, DAY)
    assert bearer.verify(AUTHORITY.certificate, text, NOW + DAY / 2) == WHO
    with pytest.raises(Unauthenticated, match="has expired"):
        bearer.verify(AUTHORITY.certificate, text, NOW + DAY)


def test_a_bearer_token_of_another_cluster_is_refused():
    text = bearer.sign(ca.create(NOW), WHO, NOW, DAY)
    with pytest.raises(Unauthenticated):
        bearer.verify(AUTHORITY.certificate, text, NOW)


def test_a_service_account_is_named_as_in_kubernetes():
    assert bearer.service_account("prod", "web") == bearer.Bearer(
        "system:serviceaccount:prod:web", ("system:serviceaccounts", "system:serviceaccounts:prod")
    )


TOKEN = bearer.sign(AUTHORITY, WHO, NOW, DAY)


@given(st.text(max_size=100) | st.tuples(st.text(max_size=9), st.text(max_size=9), st.text(max_size=99)).map(".".join))
def test_no_text_is_taken_for_a_bearer_token(text):
    with pytest.raises(Unauthenticated):
        bearer.verify(AUTHORITY.certificate, text, NOW)


@settings(max_examples=100)
@given(st.integers(0, TOKEN.rindex(".") - 1), st.sampled_from("AZaz09-_.= "))
def test_a_bearer_token_with_a_changed_claim_is_refused(position, character):
    changed = TOKEN[:position] + character + TOKEN[position + 1 :]
    assume(changed != TOKEN)
    with pytest.raises(Unauthenticated):
        bearer.verify(AUTHORITY.certificate, changed, NOW)


def test_an_algorithm_named_in_the_token_changes_nothing():
    _, body, signature = TOKEN.split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    for text in (f"{head}.{body}.", f"{head}.{body}.{signature}"):
        with pytest.raises(Unauthenticated):
            bearer.verify(AUTHORITY.certificate, text, NOW)


def test_a_kubeconfig_names_every_master_and_loads_as_one_person():
    servers = ["https://10.0.0.1:6443", "https://10.0.0.2:6443"]
    document = yaml.safe_load(kubeconfig.render(AUTHORITY, certificates.admin(), servers, NOW))
    cluster = document["clusters"][0]["cluster"]
    assert cluster["server"] == servers[0]
    assert cluster["extensions"] == [{"name": kubeconfig.EXTENSION, "extension": {"servers": servers}}]
    certificate_pem = base64.b64decode(document["users"][0]["user"]["client-certificate-data"])
    assert certificates.read(certificate_pem).name == "kubernetes-admin"
