import datetime as dt
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.api import codec
from orchestr8.errors import BadRequest, TooManyRequests, Unauthenticated
from orchestr8.pki import tokens
from orchestr8.pki.attempts import TRIES, Attempts
from orchestr8.pki.bootstrap import BootstrapTokens
from tests.unit.pki.made import NOW

HOUR = dt.timedelta(hours=1)
TOKEN = tokens.new(random.Random(1), "0" * 64)


def kept(**changes):
    return tokens.stored(TOKEN, **{"role": "worker", "uses": 1, "expires": NOW + HOUR, **changes})


def test_a_token_reads_back_as_it_was_written():
    assert tokens.parse(f"  {TOKEN.text()}\n") == TOKEN
    assert TOKEN.text().startswith("o8.")


@given(st.text(max_size=120))
def test_no_other_text_is_a_token(text):
    with pytest.raises(BadRequest, match="not a join token"):
        tokens.parse(text)


def test_half_a_token_is_not_repeated_in_the_error():
    with pytest.raises(BadRequest) as caught:
        tokens.parse(TOKEN.text()[:-1])
    assert TOKEN.secret not in str(caught.value)
    assert TOKEN.secret not in repr(TOKEN)


def test_the_cluster_keeps_only_a_hash():
    assert TOKEN.secret.encode() not in codec.encode(kept())


def test_the_last_use_deletes_the_token_and_others_count_down():
    assert tokens.spend(kept(uses=1), TOKEN.secret, "worker", NOW) is None
    left = tokens.spend(kept(uses=3), TOKEN.secret, "worker", NOW)
    assert left.data["uses"] == b"2"


@pytest.mark.parametrize(
    ("secret", "role", "now", "reason"),
    [
        ("x" * 26, "worker", NOW, "unknown or used"),
        ("", "worker", NOW, "unknown or used"),
        (TOKEN.secret, "master", NOW, "not for a master"),
        (TOKEN.secret, "worker", NOW + HOUR, "expired"),
    ],
)
def test_a_token_is_refused_with_what_to_do(secret, role, now, reason):
    with pytest.raises(Unauthenticated, match=reason):
        tokens.spend(kept(), secret, role, now)


def test_an_unknown_token_and_a_secret_of_another_type_are_refused_alike():
    for secret in (None, msgspec.structs.replace(kept(), type="Opaque")):
        with pytest.raises(Unauthenticated, match="unknown or used"):
            tokens.spend(secret, TOKEN.secret, "worker", NOW)


@pytest.mark.parametrize("field", ["uses", "expiration"])
def test_a_token_that_was_changed_by_hand_is_refused(field):
    broken = msgspec.structs.replace(kept(), data={**kept().data, field: b"soon"})
    with pytest.raises(Unauthenticated, match="has been changed"):
        tokens.spend(broken, TOKEN.secret, "worker", NOW)


def test_a_token_needs_a_known_role_and_a_use():
    for changes in ({"role": "admin"}, {"uses": 0}):
        with pytest.raises(BadRequest):
            kept(**changes)


# -- tokens of the first master ----------------------------------------------------------------------------


@pytest.fixture
def first_master(tmp_path):
    return BootstrapTokens(tmp_path)


@pytest.fixture
def for_m2(first_master):
    return first_master.create("m2", source=random.Random(2), ca_sha256="1" * 64, now=NOW)


def test_a_bootstrap_token_is_spent_once(first_master, for_m2, tmp_path):
    first_master.spend(for_m2.id, for_m2.secret, "m2", NOW)
    assert not first_master.knows(for_m2.id)
    with pytest.raises(Unauthenticated):
        BootstrapTokens(tmp_path).spend(for_m2.id, for_m2.secret, "m2", NOW)


def test_a_bootstrap_token_survives_a_wrong_secret_and_a_wrong_name(first_master, for_m2):
    with pytest.raises(Unauthenticated, match="unknown"):
        first_master.spend(for_m2.id, "x" * 26, "m2", NOW)
    with pytest.raises(Unauthenticated, match="for master m2, not for m3"):
        first_master.spend(for_m2.id, for_m2.secret, "m3", NOW)
    first_master.spend(for_m2.id, for_m2.secret, "m2", NOW)


def test_a_bootstrap_token_expires_for_good(first_master, for_m2):
    with pytest.raises(Unauthenticated, match="expired"):
        first_master.spend(for_m2.id, for_m2.secret, "m2", NOW + HOUR)
    assert not first_master.knows(for_m2.id)


@pytest.mark.parametrize("minutes", [1, 61])
def test_a_bootstrap_token_lives_from_15_minutes_to_an_hour(first_master, minutes):
    with pytest.raises(BadRequest, match="15 minutes to 1 hour"):
        first_master.create(
            "m2", source=random.Random(2), ca_sha256="1" * 64, now=NOW, ttl=dt.timedelta(minutes=minutes)
        )


def test_an_id_cannot_lead_out_of_the_folder(first_master, tmp_path):
    (tmp_path.parent / "outside.json").write_text("{}")
    assert not first_master.knows("../outside")
    with pytest.raises(Unauthenticated):
        first_master.spend("../outside", "", "m2", NOW)


# -- tries -------------------------------------------------------------------------------------------------


def test_the_sixth_failed_try_within_a_minute_waits():
    attempts = Attempts()
    for second in range(TRIES):
        attempts.begin("10.0.0.66", second)
    with pytest.raises(TooManyRequests) as caught:
        attempts.begin("10.0.0.66", 30)
    assert caught.value.retry_after_seconds == 31
    attempts.begin("10.0.0.67", 30)
    attempts.begin("10.0.0.66", 61)


def test_tries_that_succeed_do_not_count():
    attempts = Attempts()
    for _ in range(100):
        attempts.begin("10.0.0.9", 1)
        attempts.forgive("10.0.0.9")


def test_a_flood_of_addresses_is_forgotten_oldest_first():
    attempts = Attempts()
    for number in range(10_000):
        attempts.begin(str(number), 1)
    assert len(attempts._tries) <= 4_096
