"""``python -m tests.cluster.lab [list | down [ID ...]]``: what labs there are; take down those whose owner is gone,
kept ones too, or those named."""

from __future__ import annotations

import sys

from tests.cluster.lab import record


def main(arguments: list[str]) -> int:
    match arguments:
        case [] | ["list"]:
            for lab_id in sorted(record.lab_ids()):
                found = record.load(lab_id)
                state = "no record" if found is None else "kept" if found.keep else f"owner {found.owner_pid}"
                print(lab_id, state, *(found.hosts if found else ()))
        case ["down"]:
            print("taken down:", *(record.sweep(kept_too=True) or ["nothing"]))
        case ["down", *lab_ids]:
            for lab_id in lab_ids:
                record.take_down(lab_id)
            print("taken down:", *lab_ids)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


sys.exit(main(sys.argv[1:]))
