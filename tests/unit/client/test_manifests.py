import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.client.manifests import ManifestError, parse, read

WEB = b"""\
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
---
# a comment, then another object

apiVersion: v1
kind: ConfigMap
metadata:
  name: b
  namespace: prod
"""


def test_each_object_knows_its_file_and_line():
    found = parse(WEB, "web.yaml")
    assert [(each.where, each.name, each.namespace) for each in found] == [
        ("web.yaml:1", "a", ""),
        ("web.yaml:7", "b", "prod"),
    ]


def test_json_is_read_too():
    (found,) = parse(b'{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}', "a.json")
    assert (found.api_version, found.kind, found.name) == ("v1", "Pod", "a")


def test_a_list_is_its_items():
    text = b"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n"
    assert [each.where for each in parse(text, "l.yaml")] == ["l.yaml:1, items[0]"]


def test_dates_stay_text_and_keys_become_text():
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {8080: 2024-01-01, true: x}\n"
    assert parse(text, "c.yaml")[0].document["data"] == {"8080": "2024-01-01", "true": "x"}


def test_empty_documents_are_nothing():
    assert parse(b"---\n---\n# nothing\n", "e.yaml") == []


BROKEN = {
    "not YAML": (b"apiVersion: v1\nkind: [\n", r"x\.yaml:3: "),
    "tab": (b"a:\n\tb: 1\n", r"x\.yaml:2: "),
    "text": (b"hello", r"x\.yaml:1: an object is expected"),
    "no kind": (b"apiVersion: v1\n", r"x\.yaml:1: kind is missing"),
    "no metadata": (b"apiVersion: v1\nkind: Pod\n", r"x\.yaml:1: metadata is missing"),
    "key twice": (b"apiVersion: v1\nkind: Pod\nkind: Job\n", r"x\.yaml:3: the key 'kind' is given twice"),
    "binary": (b"apiVersion: v1\nkind: Pod\nmetadata: {name: !!binary aGk=}\n", "has no place in a manifest"),
    "not UTF-8": (b"\xff\xfe\xff", "not YAML"),
    "alias in itself": (b"a: &a [*a]\n", "an alias contains itself"),
    "too deep": (b"[" * 100_000 + b"]" * 100_000, "nested deeper than"),
    "python object": (b"a: !!python/object/apply:os.system [ls]\n", r"x\.yaml:1"),
}


@pytest.mark.parametrize(("text", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_manifest_says_where_and_why(text, reason):
    with pytest.raises(ManifestError, match=reason):
        parse(text, "x.yaml")


def test_an_alias_bomb_is_refused_before_it_expands():
    rows = [b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        rows.append(b"a%d: &a%d [%s]" % (level, level, b", ".join([b"*a%d" % (level - 1)] * 10)))
    with pytest.raises(ManifestError, match="are its aliases a mistake"):
        parse(b"\n".join(rows), "bomb.yaml")


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_manifest_error(data):
    try:
        parse(data, "x.yaml")
    except ManifestError as error:
        assert str(error).startswith("x.yaml")


def test_a_folder_is_its_manifests_in_order(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.yaml", "a.yml", "sub/c.json"):
        (tmp_path / name).write_text('{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}')
    (tmp_path / "notes.txt").write_text("no manifest")
    assert [each.where.rpartition("/")[2] for each in read([str(tmp_path)])] == ["a.yml:1", "b.yaml:1"]
    assert len(read([str(tmp_path)], recursive=True)) == 3


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ManifestError, match=r"nowhere\.yaml: No such file"):
        read(["nowhere.yaml"])
