"""What a journal's blocks give back after every kind of end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.errors import CorruptState
from orchestr8.raft import journal as journals
from orchestr8.raft.journal import Journal


class Files:
    """A journal with its files, written as the driver writes them."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.files: dict[str, bytes] = {}
        self.next_segment()

    def next_segment(self) -> None:
        name, data = self.journal.next_segment()
        self.files[name] = data
        self.journal.segment_begun(len(data))

    def flush(self) -> int:
        """Size of the file before the block."""
        block = self.journal.take_block()
        before = len(self.files[block.segment])
        assert before == block.offset
        self.files[block.segment] += block.data
        self.journal.block_safe()
        return before

    def recover(self) -> journals.Recovered:
        return journals.recover(sorted(self.files.items()))

    def drop_obsolete(self) -> None:
        for name in self.journal.take_obsolete():
            del self.files[name]


def written(*blocks: int) -> Files:
    """One block for each number, of so many entries."""
    files = Files()
    index = 2
    for count in blocks:
        for _ in range(count):
            files.journal.add(b"\0command %d" % index, index, 1)
            index += 1
        files.flush()
    return files


def content(journal: Journal) -> object:
    return journal[:], journal.term, journal.vote


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("cut"), st.integers(1, 6)),
        st.tuples(st.just("vote"), st.sampled_from(["a", "b", None])),
        st.just(("flush",)),
        st.just(("segment",)),
        st.just(("snapshot",)),
    ),
    max_size=60,
)


@given(_steps)
def test_what_was_written_comes_back(steps: list[tuple[object, ...]]) -> None:
    files = Files()
    journal = files.journal
    snapshot: tuple[int, int] | None = None
    for step in steps:
        match step:
            case "add", bytes(command):
                journal.add(command, journal.last_index + 1, journal.term)
            case "cut", int(count):
                first = max(journal.last_index - count + 1, (snapshot or (1,))[0] + 1)  # never what is committed
                if first <= journal.last_index:
                    journal.deleteEntriesFrom(first - journal.base_index)
            case "vote", vote:
                journal.setCurrentTerm(journal.term + 1, vote)  # type: ignore[arg-type]
            case ("flush",):
                files.flush()
            case ("segment",):
                files.next_segment()
            case ("snapshot",):
                snapshot = (journal.last_index, journal[-1][2])
                journal.forget_before(journal.keep_from(snapshot[0], 2, 10**6))
                files.drop_obsolete()
    files.flush()
    found = files.recover()
    assert found.torn is None
    recovered = found.journal
    if snapshot is not None:
        recovered.restart_at(*snapshot)
    assert recovered.sound
    low = max(journal.base_index, recovered.base_index)
    after = [entry for entry in journal[1:] if entry[1] > low]
    assert [entry for entry in recovered[1:] if entry[1] > low] == after
    assert (recovered.last_index, recovered.term, recovered.vote) == (journal.last_index, journal.term, journal.vote)
    assert recovered.durable_index == recovered.last_index


def test_a_write_torn_at_any_byte_is_cut_and_what_was_safe_stays() -> None:
    whole = written(3, 2)
    safe = content(whole.recover().journal)
    whole.journal.add(b"\0torn", 7, 1)
    start = whole.flush()
    (name, data) = next(iter(whole.files.items()))
    for end in range(start, len(data)):
        found = journals.recover([(name, data[:end])])
        assert content(found.journal) == safe
        assert found.torn == (None if end == start else (name, start))
        assert found.journal.offset == start


@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
def test_row_6_a_last_block_of_zeros_or_with_a_flipped_bit_is_cut(fill: bytes) -> None:
    files = written(3, 2)
    name, data = next(iter(files.files.items()))
    safe = len(data)
    tail = fill * 200
    assert journals.recover([(name, data + tail)]).torn == (name, safe)
    start = len(written(3).files[name])
    flipped = data[: start + 30] + bytes([data[start + 30] ^ 1]) + data[start + 31 :]
    assert journals.recover([(name, flipped)]).torn == (name, start)


def test_row_6_damage_before_the_end_is_never_cut_away() -> None:
    files = written(3, 2, 2)
    name, data = next(iter(files.files.items()))
    last_block = len(written(3, 2).files[name])
    for place in range(0, last_block, 7):
        damaged = data[:place] + bytes([data[place] ^ 0x40]) + data[place + 1 :]
        with pytest.raises(CorruptState, match=r"damaged|empty"):
            journals.recover([(name, damaged)])


def test_damage_at_the_end_of_an_older_segment_is_never_cut_away() -> None:
    files = written(3)
    files.next_segment()
    (first, one), (second, two) = sorted(files.files.items())
    with pytest.raises(CorruptState, match=first):
        journals.recover([(first, one[:-1]), (second, two)])


def test_a_missing_segment_is_noticed() -> None:
    files = written(3)
    files.next_segment()
    files.journal.add(b"\0x", 5, 1)
    files.flush()
    files.next_segment()
    names = sorted(files.files)
    del files.files[names[1]]
    with pytest.raises(CorruptState, match="does not go on"):
        files.recover()


def test_user_data_that_looks_like_a_block_is_not_taken_for_one() -> None:
    files = written(2)
    block = files.files[journals.segment_name(1)][-60:]
    files.journal.add(b"\0" + block * 3, 4, 1)
    files.flush()
    start = len(written(2).files[journals.segment_name(1)])
    name, data = next(iter(files.files.items()))
    assert journals.recover([(name, data[:-1])]).torn == (name, start)


def test_row_7_an_empty_or_foreign_file_is_refused() -> None:
    for data in (b"", b"PYSYNCOBJ" + b"\0" * 100):
        with pytest.raises(CorruptState):
            journals.recover([(journals.segment_name(1), data)])


def test_row_8_a_cut_is_one_more_record_so_that_nothing_is_rewritten() -> None:
    files = written(5)
    before = dict(files.files)
    files.journal.deleteEntriesFrom(3)
    files.journal.add(b"\0other", 4, 2)
    files.flush()
    assert all(files.files[name].startswith(data) for name, data in before.items())
    assert [entry[0] for entry in files.recover().journal[1:]] == [b"\0command 2", b"\0command 3", b"\0other"]


def test_row_23_offsets_have_eight_bytes() -> None:
    files = Files()
    files.journal.offset = 2**40
    files.journal.add(b"\0x", 2, 1)
    block = files.journal.take_block()
    assert int.from_bytes(block.data[4:12], "little") == 2**40 == block.offset


def test_a_block_that_could_not_be_written_is_taken_again_with_what_came_since() -> None:
    files = Files()
    files.journal.add(b"\0one", 2, 1)
    first = files.journal.take_block()
    files.journal.add(b"\0two", 3, 1)
    again = files.journal.take_block()
    assert again.offset == first.offset and len(again.data) > len(first.data)
    files.flush()
    assert [entry[0] for entry in files.recover().journal[1:]] == [b"\0one", b"\0two"]


def test_the_durable_index_never_counts_what_replaced_a_cut_entry() -> None:
    files = written(5)
    journal = files.journal
    journal.add(b"\0six", 7, 1)
    journal.take_block()
    journal.deleteEntriesFrom(3)
    journal.add(b"\0new", 4, 2)
    journal.block_safe()
    assert journal.durable_index == 3
    journal.take_block()
    journal.block_safe()
    assert journal.durable_index == 4
