"""The patch of apply, with the server's own strategic merge as the judge of what it does."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8.api.patch.strategic import strategic_merge_patch
from orchestr8.api.pod import Pod
from orchestr8.api.workloads import Deployment
from orchestr8.client.threeway import LAST_APPLIED, annotated, patch


def deployment(containers=({"name": "web", "image": "web:1"},), **spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": list(containers)}},
            **spec,
        },
    }


def applied(manifest, live, cls=Deployment):
    return strategic_merge_patch(cls, live, patch(manifest, live))


def containers_of(document):
    return {each["name"]: each for each in document["spec"]["template"]["spec"]["containers"]}


def test_applying_the_same_again_says_nothing():
    live = annotated(deployment())
    assert patch(deployment(), live) == {}


def test_fields_that_others_wrote_stay():
    live = annotated(deployment())
    live = {**live, "status": {"replicas": 3}, "metadata": {**live["metadata"], "uid": "u1", "resourceVersion": "7"}}
    live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "1"
    assert patch(deployment(), live) == {}


def test_a_changed_image_patches_that_container_only():
    live = annotated(deployment([{"name": "web", "image": "web:1"}, {"name": "log", "image": "log:1"}]))
    changed = deployment([{"name": "web", "image": "web:2"}, {"name": "log", "image": "log:1"}])
    said = patch(changed, live)["spec"]["template"]["spec"]
    assert said["containers"] == [{"name": "web", "image": "web:2"}]
    assert said["$setElementOrder/containers"] == [{"name": "web"}, {"name": "log"}]
    assert containers_of(applied(changed, live))["web"]["image"] == "web:2"


def test_a_container_that_the_manifest_no_longer_names_goes_and_one_that_somebody_added_stays():
    live = annotated(deployment([{"name": "web", "image": "web:1"}, {"name": "log", "image": "log:1"}]))
    live["spec"]["template"]["spec"]["containers"].append({"name": "injected", "image": "mesh:1"})
    after = applied(deployment(), live)
    assert set(containers_of(after)) == {"web", "injected"}


def test_a_field_that_the_manifest_no_longer_names_goes_unless_it_never_named_it():
    live = annotated(deployment(minReadySeconds=5))
    live["spec"]["revisionHistoryLimit"] = 10
    after = applied(deployment(), live)
    assert "minReadySeconds" not in after["spec"]
    assert after["spec"]["revisionHistoryLimit"] == 10


def test_defaults_that_the_server_filled_in_stay():
    live = annotated(deployment())
    live["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent"
    after = applied(deployment([{"name": "web", "image": "web:2"}]), live)
    assert containers_of(after)["web"] == {"name": "web", "image": "web:2", "imagePullPolicy": "IfNotPresent"}


def test_another_strategy_retains_only_its_own_keys():
    live = annotated(deployment(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}))
    live["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] = 0
    after = applied(deployment(strategy={"type": "Recreate"}), live)
    assert after["spec"]["strategy"] == {"type": "Recreate"}


def test_an_object_made_without_apply_is_taken_over_without_removing_anything():
    live = deployment(minReadySeconds=5)
    after = applied(deployment(), live)
    assert after["spec"]["minReadySeconds"] == 5
    assert json.loads(after["metadata"]["annotations"][LAST_APPLIED])["kind"] == "Deployment"


def test_the_annotation_is_written_as_kubectl_writes_it():
    manifest = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "namespace": "default"}}
    assert annotated(manifest)["metadata"]["annotations"][LAST_APPLIED] == (
        '{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{},"name":"a","namespace":"default"}}\n'
    )


def test_finalizers_are_added_and_removed_one_by_one():
    def pod(*finalizers):
        metadata = {"name": "a", "namespace": "default", "finalizers": list(finalizers)}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}

    live = annotated(pod("x.io/a", "x.io/b"))
    live["metadata"]["finalizers"].append("x.io/theirs")
    after = applied(pod("x.io/b", "x.io/c"), live, Pod)
    assert set(after["metadata"]["finalizers"]) == {"x.io/b", "x.io/c", "x.io/theirs"}


def test_a_kind_without_a_model_is_merged_field_by_field():
    def thing(**spec):
        return {"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec}

    live = annotated(thing(a=1, b=[1, 2]))
    live["spec"]["theirs"] = True
    said = patch(thing(b=[2]), live)
    assert said["spec"] == {"a": None, "b": [2]}


names = st.sampled_from(["a", "b", "c", "d"])
env = st.dictionaries(names, st.sampled_from(["1", "2"]), max_size=3).map(
    lambda found: [{"name": name, "value": value} for name, value in found.items()]
)
containers = st.dictionaries(names, st.tuples(st.sampled_from(["i:1", "i:2"]), env), min_size=1, max_size=3).map(
    lambda found: [
        {"name": name, "image": image, **({"env": variables} if variables else {})}
        for name, (image, variables) in found.items()
    ]
)
manifests = st.builds(
    lambda containers, labels, extra: {
        **deployment(containers, **extra),
        "metadata": {"name": "web", "namespace": "default", **({"labels": labels} if labels else {})},
    },
    containers,
    st.dictionaries(names, names, max_size=3),
    st.dictionaries(st.sampled_from(["minReadySeconds", "revisionHistoryLimit"]), st.integers(1, 3), max_size=2),
)


@settings(max_examples=200)
@given(manifests, manifests)
def test_whatever_was_applied_before_the_cluster_then_says_what_the_manifest_says(before, now):
    after = applied(now, annotated(before))
    assert after == annotated(now)
    assert patch(now, after) == {}


@settings(max_examples=100)
@given(manifests, manifests)
def test_what_somebody_else_added_survives_every_apply(before, now):
    live = annotated(before)
    live["spec"]["template"]["spec"]["containers"].append({"name": "theirs", "image": "x:1"})
    live["spec"]["progressDeadlineSeconds"] = 99
    after = applied(now, live)
    assert containers_of(after)["theirs"] == {"name": "theirs", "image": "x:1"}
    assert after["spec"]["progressDeadlineSeconds"] == 99
    assert {name: each for name, each in containers_of(after).items() if name != "theirs"} == containers_of(now)


@pytest.mark.parametrize("text", ["", "not json", "[]"])
def test_a_broken_annotation_counts_as_none(text):
    live = {**deployment(), "metadata": {**deployment()["metadata"], "annotations": {LAST_APPLIED: text}}}
    assert applied(deployment(), live)["spec"] == deployment()["spec"]
