"""``python -m tests.demo up [--keep] | down``: a cluster of three masters and two workers on this machine.

``up`` tells the story of story.py and takes everything down, or leaves it up with ``--keep``; ``down`` removes a kept
one. Needs root and the Debian packages of the Makefile, which runs this for you: ``make demo``.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time

from tests.cluster.cluster import Cluster
from tests.cluster.lab import CommandFailed, Lab, LabFailed, record, traces
from tests.demo import kept, story

TOOLS = ("podman", "crun", "catatonit", "nft", "ip", "nsenter", "unshare", "docker-registry", "conntrack", "curl")
MASTERS, WORKERS = ("m1", "m2", "m3"), ("w1", "w2")
KEPT_AS = "demo"


def up(keep: bool) -> int:
    missing = [tool for tool in TOOLS if shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin") is None]
    if os.geteuid() != 0 or missing:
        print(f"the demo needs root and {', '.join(missing or TOOLS)}: `make demo` as root installs what is missing")
        return 1
    if record.kept(KEPT_AS):
        print("a demo was left up: `make demo-down` takes it down")
        return 1
    began = time.perf_counter()
    lab = Lab(hosts=[*MASTERS, *WORKERS], registry=True, keep=KEPT_AS if keep else "")
    try:
        with lab, Cluster(lab, MASTERS, WORKERS) as cluster:
            story.tell(cluster)
            if keep:
                kept.explain(cluster)
    except (AssertionError, CommandFailed, LabFailed) as error:
        print(f"\nthis did not come true: {error}", file=sys.stderr)
        return 1
    return 0 if keep else say_what_is_left([lab.id], began)


def down() -> int:
    began, lab_ids = time.perf_counter(), record.kept(KEPT_AS)
    for lab_id in lab_ids:
        record.take_down(lab_id)
    if not lab_ids:
        print("no demo is up")
        return 0
    return say_what_is_left(lab_ids, began)


def say_what_is_left(lab_ids: list[str], began: float) -> int:
    left = [trace for lab_id in lab_ids for trace in traces(lab_id)]
    if left:
        print("\nleft behind:\n  " + "\n  ".join(left), file=sys.stderr)
        return 1
    print("\neverything is taken down, nothing is left: no process, namespace, mount, nft table, container or file")
    print(f"that took {time.perf_counter() - began:.1f} s")
    return 0


# A demo that is told to end takes its hosts with it.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

match sys.argv[1:]:
    case ["up", *options] if options in ([], ["--keep"]):
        sys.exit(up(keep=bool(options)))
    case ["down"]:
        sys.exit(down())
    case _:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
