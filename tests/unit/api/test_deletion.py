"""A DELETE removes at once what nobody holds, and marks the rest."""

from __future__ import annotations

import datetime as dt

import pytest

from orchestr8.api.config import ConfigMap, Namespace, NamespaceSpec
from orchestr8.api.deletion import Marked, Removal, delete, is_finished, propagation
from orchestr8.api.meta import DeleteOptions, Object, ObjectMeta, Preconditions, with_metadata
from orchestr8.api.pod import Pod, PodSpec, PodStatus
from orchestr8.errors import Conflict, Invalid

NOW = dt.datetime(2024, 5, 1, 12, 0, 0, 500, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(seconds=5)
META = ObjectMeta(name="a", namespace="d", uid="u1", resource_version="7", generation=1)
CONFIG = ConfigMap(metadata=META)
PLAIN = DeleteOptions()


def pod(node: str | None = "n1", phase: str = "Running", grace: int | None = 10) -> Pod:
    return Pod(
        metadata=META,
        spec=PodSpec(node_name=node, termination_grace_period_seconds=grace),
        status=PodStatus(phase=phase),
    )


def marked(obj: Object, options: DeleteOptions = PLAIN, now: dt.datetime = NOW) -> Object:
    outcome = delete(obj, options, now)
    assert isinstance(outcome, Marked)
    found: Object = outcome.obj
    return found


def test_what_nobody_holds_is_gone_at_once() -> None:
    assert delete(CONFIG, PLAIN, NOW) == Removal()


def test_a_finalizer_holds_an_object_until_it_lets_go() -> None:
    held = marked(with_metadata(CONFIG, finalizers=("x/a",)))
    assert held.metadata.deletion_timestamp == NOW.replace(microsecond=0)
    assert held.metadata.deletion_grace_period_seconds == 0
    assert held.metadata.generation == 2
    assert not is_finished(held)
    assert is_finished(with_metadata(held, finalizers=()))
    assert marked(held, now=LATER) == held


@pytest.mark.parametrize(
    ("victim", "options"),
    [
        (pod(node=None), PLAIN),
        (pod(phase="Succeeded"), PLAIN),
        (pod(phase="Failed"), PLAIN),
        (pod(), DeleteOptions(grace_period_seconds=0)),
    ],
)
def test_a_pod_with_nothing_to_stop_is_gone_at_once(victim: Pod, options: DeleteOptions) -> None:
    assert delete(victim, options, NOW) == Removal()


@pytest.mark.parametrize(
    ("grace", "asked", "seconds"), [(10, None, 10), (None, None, 30), (0, None, 1), (10, 60, 60), (10, 1, 1)]
)
def test_a_pod_on_a_node_gets_its_grace(grace: int | None, asked: int | None, seconds: int) -> None:
    held = marked(pod(grace=grace), DeleteOptions(grace_period_seconds=asked))
    assert held.metadata.deletion_grace_period_seconds == seconds
    assert held.metadata.deletion_timestamp == NOW.replace(microsecond=0) + dt.timedelta(seconds=seconds)
    assert not is_finished(held)


def test_a_second_delete_only_brings_the_end_nearer() -> None:
    held = marked(pod())
    assert marked(held, DeleteOptions(grace_period_seconds=60), LATER) == held
    sooner = marked(held, DeleteOptions(grace_period_seconds=2), LATER)
    assert sooner.metadata.deletion_grace_period_seconds == 2
    assert sooner.metadata.deletion_timestamp == LATER.replace(microsecond=0) + dt.timedelta(seconds=2)
    assert delete(held, DeleteOptions(grace_period_seconds=0), LATER) == Removal()


def test_a_namespace_is_terminating_until_its_finalizers_are_gone() -> None:
    namespace = Namespace(metadata=ObjectMeta(name="a"), spec=NamespaceSpec(finalizers=("kubernetes",)))
    held = marked(namespace)
    assert isinstance(held, Namespace)
    assert held.status.phase == "Terminating"
    assert not is_finished(held)
    assert is_finished(Namespace(metadata=held.metadata))


@pytest.mark.parametrize(
    ("policy", "finalizers"),
    [("Foreground", ("x/a", "foregroundDeletion")), ("Orphan", ("x/a", "orphan")), ("Background", ("x/a",))],
)
def test_the_policy_leaves_its_finalizer(policy: str, finalizers: tuple[str, ...]) -> None:
    victim = with_metadata(CONFIG, finalizers=("x/a", "orphan"))
    assert marked(victim, DeleteOptions(propagation_policy=policy)).metadata.finalizers == finalizers


def test_the_older_option_says_the_same() -> None:
    assert propagation(PLAIN) == "Background"
    assert propagation(DeleteOptions(orphan_dependents=True)) == "Orphan"
    assert propagation(DeleteOptions(orphan_dependents=False)) == "Background"


@pytest.mark.parametrize(
    "options",
    [
        DeleteOptions(propagation_policy="Sideways"),
        DeleteOptions(propagation_policy="Orphan", orphan_dependents=True),
        DeleteOptions(grace_period_seconds=-1),
    ],
)
def test_options_that_make_no_sense_are_invalid(options: DeleteOptions) -> None:
    with pytest.raises(Invalid):
        delete(pod(), options, NOW)


@pytest.mark.parametrize("wanted", [Preconditions(uid="u2"), Preconditions(resource_version="6")])
def test_a_precondition_that_does_not_hold_is_a_conflict(wanted: Preconditions) -> None:
    with pytest.raises(Conflict, match="precondition"):
        delete(CONFIG, DeleteOptions(preconditions=wanted), NOW)


def test_a_precondition_that_holds_lets_the_delete_through() -> None:
    wanted = Preconditions(uid="u1", resource_version="7")
    assert delete(CONFIG, DeleteOptions(preconditions=wanted), NOW) == Removal()
