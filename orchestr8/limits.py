"""Every bound of the system, with its unit and reason. The relations between bounds are asserted on import.

What is not bounded here is bounded by one of these. A bound that an operator may change is a default in config.py.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

# -- the wire between our own processes ---------------------------------------------------------------
RPC_FRAME_BYTES = 4 * MIB  # length is read before the body; longer closes the connection
RPC_FRAME_BYTES_BEFORE_LOGIN = 64 * KIB  # a peer without a certificate may only ask to join
RPC_MAX_ARRAY_ITEMS = 65_536  # msgpack: a 4 MiB frame of empty maps would grow 70-fold in memory
RPC_MAX_MAP_ITEMS = 4_096
RPC_MAX_DEPTH = 32
RPC_STREAMS_PER_CONNECTION = 64
RPC_STREAM_WINDOW_MESSAGES = 64  # the sender waits when the other side has not read so many
RPC_STREAM_WINDOW_BYTES = 1 * MIB  # 64 messages of 4 MiB would be 256 MiB a stream
RPC_CALLS_IN_FLIGHT = 256
RPC_CALL_SECONDS_MAX = 300
RPC_HANDSHAKE_SECONDS = 10
RPC_CONNECT_SECONDS = 3  # the kernel repeats a lost request after 1 s, then ever more rarely: a new attempt is sooner
RPC_UNACKNOWLEDGED_SECONDS = 3  # likewise for data: a connection that a cut has stalled is dropped and made anew
RPC_KEEPALIVE_SECONDS = 10  # a silent peer is asked; three unanswered close the connection
RPC_OUTBOX_BYTES = 1 * MIB  # unsent bytes per connection; above, callers and senders wait
RPC_CONTROL_BYTES = 64 * KIB  # unsent answers to a peer's pings; a peer that asks and never reads is cut off
RPC_CONNECTIONS = 2_048  # per master; above: refused at once
RPC_HALF_OPEN = 256  # connections whose handshake is not done
RPC_ANONYMOUS_SECONDS = 30  # a peer without a certificate has this long to join

# -- the HTTP API -----------------------------------------------------------------------------------
HTTP_BODY_BYTES = 3 * MIB  # 413 above; Kubernetes allows 3 MiB as well
HTTP_HEADER_BYTES = 64 * KIB
HTTP_HEADER_SECONDS = 10  # TLS handshake and headers must be done by then (slowloris)
HTTP_WRITE_SECONDS = 30  # a client that stops reading is cut off
HTTP_IDLE_SECONDS = 300
HTTP_CONNECTIONS = 4_000  # above: 429 at once
HTTP_HALF_OPEN = 256  # connections whose TLS handshake is not done; above: closed at once
HTTP_BODIES_BYTES = 64 * MIB  # request bodies held at the same time for all clients; 429 above
HTTP_BODY_SECONDS = 60  # a body must have arrived by then
HTTP_REQUEST_SECONDS = 5  # what needs a leader is answered by then, if only with 503 or 504
HTTP_READS_PER_USER = 128  # under way at one master; above: 429 for that user, at once
HTTP_WRITES_PER_USER = 512
HTTP_GOODBYE_SECONDS = 2  # how long a closing connection is waited for
HTTP_SOCKET_MESSAGE_BYTES = 1 * MIB
WATCH_SECONDS = 3_600  # a watch without a timeout of its own ends then, and its client starts another
WATCH_BOOKMARK_SECONDS = 60  # how often a quiet watch hears the revision it stands at
YAML_BYTES = 256 * KIB  # clients turn YAML into JSON themselves; parsing it is slow
YAML_NODES = 20_000
HTTP_WARNINGS = 20  # in one answer
JSON_DEPTH = 32  # 400 above; recursion is attackers' ground

# -- objects and the store ----------------------------------------------------------------------------
OBJECT_BYTES = 256 * KIB
OBJECT_BYTES_DATA = 1 * MIB + 64 * KIB  # Secret and ConfigMap: 1 MiB of data as in Kubernetes, plus metadata
TXN_BYTES = 1_280 * KIB
TXN_WRITES = 1_024
LOG_ENTRY_BYTES = 2 * MIB  # one batch of transactions; stays below the append batch of the log
APPEND_BATCH_BYTES = 4 * MIB
PROPOSALS_IN_FLIGHT = 1_024  # above: 429 at once, not a hidden queue
STORE_OBJECTS = 100_000
STORE_BYTES = 128 * MIB  # deletes still pass above it
DECODED_OBJECTS = 32_768  # kept decoded (a pod takes 6 KiB so); the rest is decoded again when it is read
HISTORY_CHANGES = 16_384  # watchers older than this list again
REQUEST_IDS_KEPT = 16_384  # a retry older than this many commands may apply twice
WATCH_BOOKMARK_SECONDS = 60  # a quiet watch that asked for bookmarks gets one so often
WATCH_SECONDS = 3_600  # then the client watches again from where it is
WATCH_BUFFER_CHANGES = 1_024  # a slower watcher is told Expired
LIST_PAGE_MAX = 10_000

# -- Raft ---------------------------------------------------------------------------------------------
ELECTION_SECONDS_MIN = 1.0
ELECTION_SECONDS_MAX = 2.0
APPEND_PERIOD_SECONDS = 0.2
APPEND_PERIOD_IDLE_SECONDS = 0.45  # while nothing is written: an idle leader wakes less than half as often
LEADER_FALLBACK_SECONDS = 2.0  # a leader that hears no majority for this long steps down
RAFT_PEER_QUEUE_MESSAGES = 2_000  # full: the peer is disconnected and caught up afresh
COMMANDS_IN_TICK = 4
LOG_ENTRIES_BEFORE_SNAPSHOT = 20_000
LOG_ENTRIES_KEPT_AFTER_SNAPSHOT = 10_000
SNAPSHOT_CHUNK_BYTES = 256 * KIB
LOG_BYTES_BEFORE_SNAPSHOT = 64 * MIB
LOG_BYTES_KEPT_AFTER_SNAPSHOT = 16 * MIB  # a follower that is further behind gets the snapshot
JOURNAL_SEGMENT_BYTES = 16 * MIB  # old segments are deleted whole
LOG_ENTRY_TXNS = 512

# -- nodes ----------------------------------------------------------------------------------------------
HEARTBEAT_SECONDS = 1.0
NODE_LEASE_SECONDS = 5.0  # silent for this long: NotReady
EVICTION_SECONDS = 3  # silent for so long after that: its pods are replaced (tolerationSeconds overrides)
UNFIT_EVICTION_SECONDS = 300  # a node that answers but says it is not ready keeps its pods so long, as in Kubernetes
STATUS_BATCH_PODS = 200
STATUS_BATCH_SECONDS = 0.1
PODS_PER_NODE = 110
PODMAN_CALLS_AT_ONCE = 8
PODMAN_CALL_SECONDS = 60
IMAGE_PULL_SECONDS = 600
RESTART_BACKOFF_SECONDS_FIRST = 10
RESTART_BACKOFF_SECONDS_MAX = 300
RESTART_BACKOFF_RESET_SECONDS = 600

# -- watching ourselves ---------------------------------------------------------------------------------
EVENT_KEEP_SECONDS = 3_600  # Kubernetes keeps events for an hour too
EVENTS_KEPT = 5_000

assert OBJECT_BYTES < OBJECT_BYTES_DATA < TXN_BYTES < LOG_ENTRY_BYTES < APPEND_BATCH_BYTES <= RPC_FRAME_BYTES
assert OBJECT_BYTES_DATA < HTTP_BODY_BYTES
assert 3 * HEARTBEAT_SECONDS <= NODE_LEASE_SECONDS
assert 3 * APPEND_PERIOD_SECONDS < ELECTION_SECONDS_MIN
assert APPEND_PERIOD_SECONDS <= APPEND_PERIOD_IDLE_SECONDS < ELECTION_SECONDS_MIN / 2
assert ELECTION_SECONDS_MIN < ELECTION_SECONDS_MAX <= LEADER_FALLBACK_SECONDS
assert LOG_ENTRIES_KEPT_AFTER_SNAPSHOT < LOG_ENTRIES_BEFORE_SNAPSHOT
