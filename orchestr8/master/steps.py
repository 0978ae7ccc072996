"""Many small decisions in few transactions: a ``Step`` is one decision's preconditions and writes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from orchestr8 import limits
from orchestr8.store.command import Compare, Delete, Put, Txn

T = TypeVar("T")
_STEP_BYTES = 512  # keys, revisions and framing, generously


class Step(msgspec.Struct, frozen=True):
    compares: tuple[Compare, ...]
    writes: tuple[Put | Delete, ...]


def batches(steps: Iterable[tuple[T, Step]]) -> Iterator[list[tuple[T, Step]]]:
    """Cuts steps, each with what it was made for, into what one transaction may carry."""
    batch: list[tuple[T, Step]] = []
    writes = size = 0
    for reason, step in steps:
        step_bytes = _STEP_BYTES + sum(len(write.data) for write in step.writes if isinstance(write, Put))
        if batch and (writes + len(step.writes) > limits.TXN_WRITES or size + step_bytes > limits.TXN_BYTES):
            yield batch
            batch, writes, size = [], 0, 0
        batch.append((reason, step))
        writes += len(step.writes)
        size += step_bytes
    if batch:
        yield batch


def transaction(request_id: str, steps: Sequence[Step]) -> Txn:
    """One transaction of steps that were decided on the same view."""
    compares = {compare.key: compare for step in steps for compare in step.compares}
    return Txn(request_id, tuple(compares.values()), tuple(write for step in steps for write in step.writes))
