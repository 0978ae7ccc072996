"""One connection as a state machine: bytes in -> events out, verbs in -> bytes out. Pure, and the same for both sides.

A frame is ``[kind, id, ...]``. The id is positive when the frame's sender opened the call or stream, negative when its
receiver did, so neither side needs to know whether it dialled. Ids only grow: a frame for an id that was never opened
is a fault of the peer; one for an id that has ended is late (its end crossed it on the way) and is dropped. Items after
the known ones are ignored, so that a newer peer may add some.

    CALL id method params seconds   STREAM id method params     ask; a stream also carries messages (streams.py)
    RESULT id value                 FAULT id code message details    how the handler ended
    CANCEL id                       the asker lost interest; no answer follows
    MESSAGE id value                EOF id           GRANT id messages bytes
    PING 0      PONG 0              GOODBYE 0 code message details    why the connection ends
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from orchestr8 import limits
from orchestr8.errors import LocalProtocolError, Orchestr8Error, RemoteProtocolError
from orchestr8.rpc import faults
from orchestr8.rpc.frame import FrameDecoder, encode
from orchestr8.rpc.streams import StreamHalves

CALL: Final = 1
STREAM: Final = 2
RESULT: Final = 3
FAULT: Final = 4
CANCEL: Final = 5
MESSAGE: Final = 6
EOF: Final = 7
GRANT: Final = 8
PING: Final = 9
PONG: Final = 10
GOODBYE: Final = 11

_UNANSWERED_PINGS = 3
_PONG_FRAME = encode([PONG, 0])


class Called(NamedTuple):
    """The peer calls; ``answer`` or ``fail`` it. ``seconds``: how long the caller waits."""

    id: int
    method: str
    params: Any
    seconds: float


class Opened(NamedTuple):
    """The peer opens a stream; its handler's end is told by ``answer`` or ``fail``."""

    id: int
    method: str
    params: Any


class Answered(NamedTuple):
    """A call of ours has its result; a stream of ours has ended well."""

    id: int
    value: Any


class Failed(NamedTuple):
    id: int
    error: Orchestr8Error


class Cancelled(NamedTuple):
    """The peer gave up what it had opened."""

    id: int


class MessageReceived(NamedTuple):
    """Give ``size`` back to ``read`` once the message is taken."""

    id: int
    value: Any
    size: int


class EofReceived(NamedTuple):
    id: int


class WindowOpened(NamedTuple):
    """More messages may be sent on this stream."""

    id: int


class GoodbyeReceived(NamedTuple):
    error: Orchestr8Error


Event = Called | Opened | Answered | Failed | Cancelled | MessageReceived | EofReceived | WindowOpened | GoodbyeReceived


class Wire:
    """Ids: positive for what we opened, negative for what the peer opened.

    Verbs queue bytes for ``data_to_send``. They raise LocalProtocolError for our own mistakes and LimitExceeded for a
    value that no frame holds, before anything is queued. ``receive`` raises RemoteProtocolError for the peer's.
    """

    def __init__(self, receive_frame_bytes: int = limits.RPC_FRAME_BYTES) -> None:
        self._decoder = FrameDecoder(receive_frame_bytes)
        self._outbox: deque[bytes] = deque()
        self.outbox_bytes = 0
        self._control_bytes = 0
        self._frames_queued = 0
        self._frames_taken = 0
        self._last_own_id = 0
        self._last_peer_id = 0
        self._own_calls: dict[int, int] = {}  # id -> number of its frame, to know whether it was sent
        self._peer_calls: set[int] = set()
        self._streams: dict[int, StreamHalves] = {}
        self._own_streams = 0
        self._heard = True
        self._pings = 0
        self._parting = False

    # -- what we do -----------------------------------------------------------------------------------------

    @property
    def may_call(self) -> bool:
        return len(self._own_calls) < limits.RPC_CALLS_IN_FLIGHT

    @property
    def may_open(self) -> bool:
        return self._own_streams < limits.RPC_STREAMS_PER_CONNECTION

    def call(self, method: str, params: Any, seconds: float) -> int:
        if not self.may_call:
            raise LocalProtocolError(f"{limits.RPC_CALLS_IN_FLIGHT} calls are in flight already")
        number = self._last_own_id + 1
        self._queue(encode([CALL, number, method, params, seconds]))
        self._last_own_id = number
        self._own_calls[number] = self._frames_queued
        return number

    def open(self, method: str, params: Any) -> int:
        if not self.may_open:
            raise LocalProtocolError(f"{limits.RPC_STREAMS_PER_CONNECTION} streams are open already")
        number = self._last_own_id + 1
        self._queue(encode([STREAM, number, method, params]))
        self._last_own_id = number
        self._streams[number] = StreamHalves()
        self._own_streams += 1
        return number

    def answer(self, number: int, value: Any) -> None:
        """The handler of a peer's call or stream returned. Nothing happens if the peer has cancelled it."""
        if self._is_open_by_peer(number):
            self._queue(encode([RESULT, number, value]))
            self._end_of_peer(number)

    def fail(self, number: int, error: Orchestr8Error) -> None:
        if self._is_open_by_peer(number):
            self._queue(encode([FAULT, number, *faults.to_wire(error)]))
            self._end_of_peer(number)

    def cancel(self, number: int) -> None:
        """Give up what we opened. Nothing happens if it has ended."""
        if self._own_calls.pop(number, None) is not None or self._forget_own_stream(number):
            self._queue(encode([CANCEL, number]))

    def may_send(self, number: int) -> bool:
        stream = self._streams.get(number)
        return stream is not None and stream.window_open

    def is_stream(self, number: int) -> bool:
        return number in self._streams

    def send(self, number: int, value: Any) -> None:
        frame = encode([MESSAGE, number, value])
        self._stream(number).sent(len(frame))
        self._queue(frame)

    def send_eof(self, number: int) -> None:
        self._stream(number).sent_eof()
        self._queue(encode([EOF, number]))

    def read(self, number: int, size: int) -> None:
        """A message was taken by its reader: sooner or later the peer may send the next."""
        stream = self._streams.get(number)
        grant = stream.read(size) if stream is not None else None
        if grant is not None:
            self._queue(encode([GRANT, number, *grant]))

    def tick(self) -> None:
        """Call every RPC_KEEPALIVE_SECONDS. Raises RemoteProtocolError when the peer is silent for too long."""
        if self._heard:
            self._heard = False
            self._pings = 0
            return
        if self._pings >= _UNANSWERED_PINGS:
            raise RemoteProtocolError(
                f"the other side has not answered for {(self._pings + 1) * limits.RPC_KEEPALIVE_SECONDS} s"
            )
        self._pings += 1
        self._queue(encode([PING, 0]))

    def goodbye(self, error: Orchestr8Error) -> None:
        """The last frame: tells the peer why. Whatever is queued later is not sent."""
        if not self._parting:
            self._queue(encode([GOODBYE, 0, *faults.to_wire(error)]))
            self._parting = True

    def data_to_send(self, about_bytes: int = 4 * 64 * limits.KIB) -> bytes:
        """Whole frames, many in one piece, until there are ``about_bytes``; b"" when there are none."""
        taken: list[bytes] = []
        size = 0
        while self._outbox and size < about_bytes:
            frame = self._outbox.popleft()
            size += len(frame)
            taken.append(frame)
        self._frames_taken += len(taken)
        self.outbox_bytes -= size
        if not self._outbox:
            self._control_bytes = 0
        return b"".join(taken)

    def was_sent(self, number: int) -> bool:
        """Whether any byte of this call of ours may have left."""
        return self._own_calls.get(number, 0) <= self._frames_taken

    # -- what the peer does ---------------------------------------------------------------------------------

    def receive(self, data: bytes | bytearray) -> list[Event]:
        """Raises RemoteProtocolError; then say ``goodbye`` and close."""
        self._heard = True
        events: list[Event] = []
        for frame, size in self._decoder.feed(data):
            event = self._on_frame(frame, size)
            if event is not None:
                events.append(event)
        return events

    def receive_end(self) -> None:
        """The byte stream has ended. Raises RemoteProtocolError if that cut a frame in two."""
        if self._decoder.inside_frame:
            raise RemoteProtocolError("the connection ended inside a frame")

    def _on_frame(self, frame: Any, size: int) -> Event | None:
        if type(frame) is not list or len(frame) < 2 or type(frame[0]) is not int or type(frame[1]) is not int:
            raise RemoteProtocolError("a frame must be a list that starts with its kind and id")
        known = _FRAMES.get(frame[0])
        if known is None:
            raise RemoteProtocolError(f"frame kind {frame[0]} is not known")
        items, handle = known
        if len(frame) < 2 + items:
            raise RemoteProtocolError(f"a frame of kind {frame[0]} needs {2 + items} items, it has {len(frame)}")
        # The peer's own ids are negative here, ours come back negative from it.
        return handle(self, -frame[1], frame, size)

    def _on_call(self, number: int, frame: list[Any], size: int) -> Event:
        _, _, method, params, seconds, *_ = frame
        if type(seconds) not in (int, float) or not 0 <= seconds <= limits.RPC_CALL_SECONDS_MAX:
            raise RemoteProtocolError(f"a call may last from 0 to {limits.RPC_CALL_SECONDS_MAX} seconds")
        self._new_peer_id(number, method)
        if len(self._peer_calls) >= limits.RPC_CALLS_IN_FLIGHT:
            raise RemoteProtocolError(f"more than {limits.RPC_CALLS_IN_FLIGHT} calls at once")
        self._peer_calls.add(number)
        return Called(number, method, params, seconds)

    def _on_stream(self, number: int, frame: list[Any], size: int) -> Event:
        _, _, method, params, *_ = frame
        self._new_peer_id(number, method)
        if len(self._streams) - self._own_streams >= limits.RPC_STREAMS_PER_CONNECTION:
            raise RemoteProtocolError(f"more than {limits.RPC_STREAMS_PER_CONNECTION} streams at once")
        self._streams[number] = StreamHalves()
        return Opened(number, method, params)

    def _on_result(self, number: int, frame: list[Any], size: int) -> Event | None:
        return Answered(number, frame[2]) if self._end_of_own(number) else None

    def _on_fault(self, number: int, frame: list[Any], size: int) -> Event | None:
        error = faults.from_wire(*frame[2:5])
        return Failed(number, error) if self._end_of_own(number) else None

    def _on_cancel(self, number: int, frame: list[Any], size: int) -> Event | None:
        if number >= 0:
            raise RemoteProtocolError("only the side that asked may cancel")
        self._check_known(number)
        if number in self._peer_calls or number in self._streams:
            self._end_of_peer(number)
            return Cancelled(number)
        return None

    def _on_message(self, number: int, frame: list[Any], size: int) -> Event | None:
        stream = self._opened_stream(number)
        if stream is None:
            return None
        stream.received(size)
        return MessageReceived(number, frame[2], size)

    def _on_eof(self, number: int, frame: list[Any], size: int) -> Event | None:
        stream = self._opened_stream(number)
        if stream is None:
            return None
        stream.received_eof()
        return EofReceived(number)

    def _on_grant(self, number: int, frame: list[Any], size: int) -> Event | None:
        if type(frame[2]) is not int or type(frame[3]) is not int:
            raise RemoteProtocolError("a grant needs two whole numbers: messages and bytes")
        stream = self._opened_stream(number)
        if stream is None:
            return None
        stream.granted(frame[2], frame[3])
        return WindowOpened(number)

    def _on_ping(self, number: int, frame: list[Any], size: int) -> None:
        self._control_bytes += len(_PONG_FRAME)
        if self._control_bytes > limits.RPC_CONTROL_BYTES:
            raise RemoteProtocolError("the other side pings and does not read the answers")
        self._queue(_PONG_FRAME)

    def _on_pong(self, number: int, frame: list[Any], size: int) -> None:
        """That something was heard is all there is to know."""

    def _on_goodbye(self, number: int, frame: list[Any], size: int) -> Event:
        return GoodbyeReceived(faults.from_wire(*frame[2:5]))

    # -- ids ------------------------------------------------------------------------------------------------

    def _new_peer_id(self, number: int, method: Any) -> None:
        if type(method) is not str:
            raise RemoteProtocolError("the name of a method must be text")
        if number >= self._last_peer_id:
            raise RemoteProtocolError("ids of calls and streams must grow")
        self._last_peer_id = number

    def _check_known(self, number: int) -> None:
        if not self._last_peer_id <= number <= self._last_own_id or number == 0:
            raise RemoteProtocolError("a frame for an id that was never opened")

    def _opened_stream(self, number: int) -> StreamHalves | None:
        """The open stream, None if it has ended (the frame is late)."""
        self._check_known(number)
        if number in self._own_calls or number in self._peer_calls:
            raise RemoteProtocolError("a call carries no messages")
        return self._streams.get(number)

    def _stream(self, number: int) -> StreamHalves:
        stream = self._streams.get(number)
        if stream is None:
            raise LocalProtocolError("this stream has ended")
        return stream

    def _is_open_by_peer(self, number: int) -> bool:
        if not self._last_peer_id <= number < 0:
            raise LocalProtocolError("the peer never opened this id")
        return number in self._peer_calls or number in self._streams

    def _end_of_peer(self, number: int) -> None:
        self._peer_calls.discard(number)
        self._streams.pop(number, None)

    def _end_of_own(self, number: int) -> bool:
        if number <= 0:
            raise RemoteProtocolError("only the side that was asked may answer")
        self._check_known(number)
        return self._own_calls.pop(number, None) is not None or self._forget_own_stream(number)

    def _forget_own_stream(self, number: int) -> bool:
        if number < 0 or self._streams.pop(number, None) is None:
            return False
        self._own_streams -= 1
        return True

    def _queue(self, frame: bytes) -> None:
        if self._parting:
            return
        self._outbox.append(frame)
        self.outbox_bytes += len(frame)
        self._frames_queued += 1


_FRAMES: dict[int, tuple[int, Callable[[Wire, int, list[Any], int], Event | None]]] = {
    CALL: (3, Wire._on_call),
    STREAM: (2, Wire._on_stream),
    RESULT: (1, Wire._on_result),
    FAULT: (3, Wire._on_fault),
    CANCEL: (0, Wire._on_cancel),
    MESSAGE: (1, Wire._on_message),
    EOF: (0, Wire._on_eof),
    GRANT: (2, Wire._on_grant),
    PING: (0, Wire._on_ping),
    PONG: (0, Wire._on_pong),
    GOODBYE: (3, Wire._on_goodbye),
}
