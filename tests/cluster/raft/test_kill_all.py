"""Three real processes, SIGKILL for all of them under load: what was acknowledged is there afterwards."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.raft.masters import masters, wait_for


def test_after_killing_all_three_under_load_every_acknowledged_write_is_there(tmp_path: Path) -> None:
    acknowledged: dict[str, int] = {}
    with masters(tmp_path) as cluster:
        for round_number in range(3):
            cluster.start()
            cluster.leader()
            running = list(cluster.running.values())
            for master in running:
                details = {"writers": 8, "seconds": 60, "bytes": 256, "prefix": f"{master.name}-{round_number}"}
                master.order("load", tell=True, **details)
            wait_for(lambda masters=running: all(len(each.acks) >= 150 for each in masters))  # type: ignore[misc]
            for master in cluster.kill():
                acknowledged.update({ack["ack"]: ack["revision"] for ack in master.acks})
        cluster.start()
        cluster.leader()
        answers = [master.ask("names") for master in cluster.running.values()]
        while len({answer["index"] for answer in answers}) > 1:  # the new leader's claim was just on its way
            answers = [master.ask("names") for master in cluster.running.values()]
    for answer in answers:
        found = answer["names"]
        missing = [name for name in acknowledged if name not in found]
        assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged writes are lost: {missing[:5]}"
        moved = [name for name, revision in acknowledged.items() if found[name] != revision]
        assert not moved, f"at another revision than was acknowledged: {moved[:5]}"
    assert len({answer["digest"] for answer in answers}) == 1
