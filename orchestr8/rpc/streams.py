"""One stream as a state machine: what may be sent and received now, and the window each way. Pure.

A stream is a call that also carries messages. Each side closes its own half with EOF; the handler's result, an error
or a cancel ends it whole. A sender may be RPC_STREAM_WINDOW_MESSAGES messages ahead of the reader, and starts none
once RPC_STREAM_WINDOW_BYTES are unread. Everything that changes a stream's state is in the table below.
"""

from __future__ import annotations

import enum

from orchestr8 import limits
from orchestr8.errors import LocalProtocolError, RemoteProtocolError


class StreamState(enum.Enum):
    OPEN = "open"
    LOCAL_EOF = "we have closed our half"
    REMOTE_EOF = "the other side has closed its half"
    BOTH_EOF = "both halves are closed"


class Step(enum.Enum):
    SEND = "send a message"
    SEND_EOF = "send the end of our messages"
    RECEIVE = "receive a message"
    RECEIVE_EOF = "receive the end of their messages"


TRANSITIONS: dict[tuple[StreamState, Step], StreamState] = {
    (StreamState.OPEN, Step.SEND): StreamState.OPEN,
    (StreamState.OPEN, Step.RECEIVE): StreamState.OPEN,
    (StreamState.OPEN, Step.SEND_EOF): StreamState.LOCAL_EOF,
    (StreamState.OPEN, Step.RECEIVE_EOF): StreamState.REMOTE_EOF,
    (StreamState.LOCAL_EOF, Step.RECEIVE): StreamState.LOCAL_EOF,
    (StreamState.LOCAL_EOF, Step.RECEIVE_EOF): StreamState.BOTH_EOF,
    (StreamState.REMOTE_EOF, Step.SEND): StreamState.REMOTE_EOF,
    (StreamState.REMOTE_EOF, Step.SEND_EOF): StreamState.BOTH_EOF,
}


class StreamHalves:
    """The state of one open stream and its two windows."""

    def __init__(self) -> None:
        self.state = StreamState.OPEN
        self._may_send_messages = limits.RPC_STREAM_WINDOW_MESSAGES
        self._may_send_bytes = limits.RPC_STREAM_WINDOW_BYTES
        self._may_receive_messages = limits.RPC_STREAM_WINDOW_MESSAGES
        self._may_receive_bytes = limits.RPC_STREAM_WINDOW_BYTES
        self._read_messages = 0
        self._read_bytes = 0

    @property
    def window_open(self) -> bool:
        """A message may be sent. The last one may be longer than the bytes left, so that a large one passes, too."""
        return self._may_send_messages > 0 and self._may_send_bytes > 0

    def sent(self, size_bytes: int) -> None:
        if not self.window_open:
            raise LocalProtocolError("a message was sent although the stream's window is closed")
        self._step(Step.SEND, LocalProtocolError)
        self._may_send_messages -= 1
        self._may_send_bytes -= size_bytes

    def sent_eof(self) -> None:
        self._step(Step.SEND_EOF, LocalProtocolError)

    def received(self, size_bytes: int) -> None:
        if self._may_receive_messages <= 0 or self._may_receive_bytes <= 0:
            raise RemoteProtocolError("more messages came than the stream's window allows")
        self._step(Step.RECEIVE, RemoteProtocolError)
        self._may_receive_messages -= 1
        self._may_receive_bytes -= size_bytes

    def received_eof(self) -> None:
        self._step(Step.RECEIVE_EOF, RemoteProtocolError)

    def read(self, size_bytes: int) -> tuple[int, int] | None:
        """A message was taken by its reader: the (messages, bytes) to grant now; None while not worth a frame."""
        self._read_messages += 1
        self._read_bytes += size_bytes
        if (
            2 * self._read_messages < limits.RPC_STREAM_WINDOW_MESSAGES
            and 2 * self._read_bytes < limits.RPC_STREAM_WINDOW_BYTES
        ):
            return None
        grant = (self._read_messages, self._read_bytes)
        self._may_receive_messages += grant[0]
        self._may_receive_bytes += grant[1]
        self._read_messages = self._read_bytes = 0
        return grant

    def granted(self, messages: int, size_bytes: int) -> None:
        self._may_send_messages += messages
        self._may_send_bytes += size_bytes
        if (
            messages < 0
            or size_bytes < 0
            or self._may_send_messages > limits.RPC_STREAM_WINDOW_MESSAGES
            or self._may_send_bytes > limits.RPC_STREAM_WINDOW_BYTES
        ):
            raise RemoteProtocolError("a window was opened wider than it was closed")

    def _step(self, step: Step, fault: type[LocalProtocolError] | type[RemoteProtocolError]) -> None:
        after = TRANSITIONS.get((self.state, step))
        if after is None:
            raise fault(f"a stream cannot {step.value}: {self.state.value}")
        self.state = after
