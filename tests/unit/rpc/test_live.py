import pytest
import trio

from orchestr8 import limits
from orchestr8.errors import (
    BadRequest,
    Conflict,
    DeadlineExceeded,
    Forbidden,
    LimitExceeded,
    NotFound,
    OutcomeUnknown,
    TooManyRequests,
    Unavailable,
)
from orchestr8.rpc.live import live
from orchestr8.rpc.service import Service
from tests.unit.rpc.memory import MASTER, NODE, STRANGER, pair


async def echo(peer, params):
    return [peer.name, params]


async def forever(peer, params):
    await trio.sleep_forever()


async def test_a_call_returns_what_the_handler_returns():
    async with pair(Service({"echo": echo})) as (asking, _):
        assert await asking.call("echo", {"data": b"\x00\xff", "n": None}) == ["w1", {"data": b"\x00\xff", "n": None}]


async def test_both_sides_call_over_one_connection():
    async with pair(Service({"echo": echo}), Service({"echo": echo})) as (asking, serving):
        assert await asking.call("echo", 1) == ["w1", 1]
        assert await serving.call("echo", 2) == ["m1", 2]


@pytest.mark.parametrize(
    "error", [Conflict("changed meanwhile"), TooManyRequests("full", 7), NotFound("no such pod")], ids=lambda e: e.code
)
async def test_errors_cross_by_code_with_their_details(error):
    async def fail(peer, params):
        raise error

    async with pair(Service({"fail": fail})) as (asking, _):
        with pytest.raises(type(error)) as caught:
            await asking.call("fail")
    assert vars(caught.value) == vars(error)


async def test_an_expected_error_inside_a_handlers_nursery_crosses_too():
    async def fail(peer, params):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise Conflict("changed meanwhile")

    async with pair(Service({"fail": fail})) as (asking, _):
        with pytest.raises(Conflict, match="changed meanwhile"):
            await asking.call("fail")


async def test_params_of_the_wrong_shape_are_answered_as_bad_request():
    import msgspec

    class Shape(msgspec.Struct):
        name: str

    async def strict(peer, params):
        msgspec.convert(params, Shape)

    async with pair(Service({"strict": strict})) as (asking, _):
        with pytest.raises(BadRequest, match="name"):
            await asking.call("strict", {"name": 3})


async def test_a_bug_in_a_handler_leaves_through_the_nursery():
    async def bug(peer, params):
        raise KeyError("oops")

    with pytest.raises(KeyError):
        async with pair(Service({"bug": bug})) as (asking, _):
            await asking.call("bug")


async def test_a_method_that_is_not_offered_is_not_found_or_forbidden():
    async with pair(Service({"echo": echo})) as (asking, _):
        with pytest.raises(Forbidden):
            await asking.call("nothing")


async def test_without_a_certificate_only_public_methods_answer():
    async with pair(Service({"echo": echo, "join": echo}, public=["join"]), asker=STRANGER) as (asking, _):
        assert await asking.call("join", 1) == ["", 1]
        with pytest.raises(Forbidden, match="join the cluster first"):
            await asking.call("echo", 1)


async def test_a_role_that_a_service_does_not_name_is_refused():
    async with pair(Service({"echo": echo}, roles=["system:masters-internal"])) as (asking, _):
        with pytest.raises(Forbidden, match="w1 may not use echo"):
            await asking.call("echo", 1)


async def test_cancelling_the_caller_cancels_the_handler(autojump_clock):
    cancelled = trio.Event()

    async def slow(peer, params):
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with pair(Service({"slow": slow, "echo": echo})) as (asking, _):
        with trio.move_on_after(1):
            await asking.call("slow")
        await cancelled.wait()
        assert await asking.call("echo", 1) == ["w1", 1]


async def test_the_callers_deadline_reaches_the_handler(autojump_clock):
    seen = []

    async def look(peer, params):
        seen.append(trio.current_effective_deadline() - trio.current_time())

    async with pair(Service({"look": look})) as (asking, _):
        with trio.fail_after(7):
            await asking.call("look")
        await asking.call("look")
    assert seen == [7, limits.RPC_CALL_SECONDS_MAX]


async def test_a_call_without_a_deadline_ends_at_the_longest_allowed(autojump_clock):
    async with pair(Service({"forever": forever})) as (asking, _):
        with pytest.raises(DeadlineExceeded):
            await asking.call("forever")
        assert trio.current_time() == limits.RPC_CALL_SECONDS_MAX


async def test_a_lost_connection_leaves_the_outcome_of_sent_calls_unknown(autojump_clock):
    async with pair(Service({"forever": forever})) as (asking, serving):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def cut():
                await trio.sleep(1)
                await serving._transport.aclose()

            with pytest.raises(OutcomeUnknown, match="may have been carried out"):
                await asking.call("forever")
        with pytest.raises(Unavailable):
            await asking.call("forever")
        await asking.wait_closed()
        assert isinstance(asking.closed_reason, Unavailable)


async def test_a_lost_connection_cancels_the_handlers_it_carried(autojump_clock):
    started, cancelled = trio.Event(), trio.Event()

    async def slow(peer, params):
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    here, there = trio.testing.memory_stream_pair()
    async with live(there, NODE, Service({"slow": slow})):
        async with live(here, MASTER, Service()) as asking:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(asking.call, "slow")
                await started.wait()
                nursery.cancel_scope.cancel()
        await cancelled.wait()


async def test_a_silent_peer_is_asked_and_then_given_up(autojump_clock):
    here, _ = trio.testing.memory_stream_pair()
    async with live(here, MASTER, Service()) as asking:
        await asking.wait_closed()
        assert 30 <= trio.current_time() <= 60
        with pytest.raises(Unavailable, match="has not answered"):
            await asking.call("echo")


async def test_an_idle_connection_stays_alive(autojump_clock):
    async with pair(Service({"echo": echo})) as (asking, _):
        await trio.sleep(3600)
        assert await asking.call("echo", 1) == ["w1", 1]


async def test_more_calls_than_may_be_in_flight_wait_their_turn(autojump_clock):
    running = most = 0

    async def count(peer, params):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1

    async with pair(Service({"count": count})) as (asking, _), trio.open_nursery() as nursery:
        for _ in range(limits.RPC_CALLS_IN_FLIGHT * 2):
            nursery.start_soon(asking.call, "count")
    assert most == limits.RPC_CALLS_IN_FLIGHT
    assert trio.current_time() >= 2


async def test_a_value_too_long_for_a_frame_fails_alone():
    async def twice(peer, params):
        return params * 2

    async with pair(Service({"echo": echo, "twice": twice})) as (asking, _):
        with pytest.raises(LimitExceeded):
            await asking.call("echo", bytes(limits.RPC_FRAME_BYTES + 1))
        with pytest.raises(LimitExceeded):
            await asking.call("twice", bytes(limits.RPC_FRAME_BYTES - 100))  # fits as a call, not as its answer
        assert await asking.call("echo", 1) == ["w1", 1]


async def test_stream_messages_go_both_ways_in_order():
    async def upper(peer, params, stream):
        async for word in stream:
            await stream.send(params + word.upper())

    async with pair(Service(streams={"upper": upper})) as (asking, _):
        async with asking.stream("upper", "> ") as stream:
            for word in ("a", "b", "c"):
                await stream.send(word)
            await stream.send_eof()
            assert [message async for message in stream] == ["> A", "> B", "> C"]


async def test_a_sender_waits_for_its_reader(autojump_clock):
    sent = 0

    async def flood(peer, params, stream):
        nonlocal sent
        while True:
            await stream.send(b"x")
            sent += 1

    async with pair(Service(streams={"flood": flood})) as (asking, _):
        async with asking.stream("flood") as stream:
            await trio.sleep(1)
            assert sent == limits.RPC_STREAM_WINDOW_MESSAGES
            for _ in range(1000):
                await stream.receive()


async def test_a_reader_that_sleeps_bounds_the_bytes_kept_for_it(autojump_clock):
    sent = 0

    async def flood(peer, params, stream):
        nonlocal sent
        while True:
            await stream.send(bytes(300 * limits.KIB))
            sent += 1

    async with pair(Service(streams={"flood": flood})) as (asking, _):
        async with asking.stream("flood") as stream:
            await trio.sleep(1)
            assert sent == 4
            for _ in range(10):
                await stream.receive()


async def test_an_error_ends_a_stream_after_its_messages():
    async def half(peer, params, stream):
        await stream.send(1)
        raise Conflict("no more")

    async with pair(Service(streams={"half": half})) as (asking, _):
        async with asking.stream("half") as stream:
            assert await stream.receive() == 1
            with pytest.raises(Conflict, match="no more"):
                await stream.receive()
            with pytest.raises(Conflict):
                await stream.send(2)


async def test_a_lost_connection_ends_senders_and_readers_of_streams(autojump_clock):
    async def silent(peer, params, stream):
        await trio.sleep_forever()

    async with pair(Service(streams={"silent": silent})) as (asking, serving):
        async with asking.stream("silent") as full, asking.stream("silent") as empty:
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def cut():
                    await trio.sleep(1)
                    await serving._transport.aclose()

                @nursery.start_soon
                async def read():
                    with pytest.raises(Unavailable):
                        await empty.receive()

                with pytest.raises(Unavailable):
                    while True:
                        await full.send(b"x")
            with pytest.raises(Unavailable):
                await empty.send(1)


async def test_a_lost_connection_ends_a_handler_of_several_tasks_and_nothing_else(autojump_clock):
    started = trio.Event()

    async def relay(peer, params, stream):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.receive)  # hears of the loss as an error, the other tasks as a cancellation
            started.set()
            await trio.sleep_forever()

    here, there = trio.testing.memory_stream_pair()
    async with live(there, NODE, Service(streams={"relay": relay})) as serving:
        async with live(here, MASTER, Service()) as asking:
            async with asking.stream("relay"):
                await started.wait()
                await here.aclose()
                await serving.wait_closed()
        await trio.sleep(1)
        assert isinstance(serving.closed_reason, Unavailable)


async def test_sending_to_a_handler_that_has_returned_breaks(autojump_clock):
    async def done(peer, params, stream):
        pass

    async with pair(Service(streams={"done": done})) as (asking, _):
        async with asking.stream("done") as stream:
            with pytest.raises(trio.EndOfChannel):
                await stream.receive()
            with pytest.raises(trio.BrokenResourceError):
                await stream.send(1)


async def test_a_handler_that_wants_more_messages_than_come_is_answered_as_bad_request():
    async def needs_one(peer, params, stream):
        await stream.receive()

    async with pair(Service(streams={"needs_one": needs_one})) as (asking, _):
        async with asking.stream("needs_one") as stream:
            await stream.send_eof()
            with pytest.raises(BadRequest, match="ended before"):
                await stream.receive()


async def test_leaving_the_block_cancels_the_streams_handler(autojump_clock):
    cancelled = trio.Event()

    async def tail(peer, params, stream):
        try:
            while True:
                await stream.send("line")
                await trio.sleep(1)
        finally:
            cancelled.set()

    async with pair(Service({"echo": echo}, {"tail": tail})) as (asking, _):
        async with asking.stream("tail") as stream:
            await stream.receive()
        await cancelled.wait()
        assert await asking.call("echo", 1) == ["w1", 1]


async def test_more_streams_than_may_be_open_wait_their_turn(autojump_clock):
    async def wait(peer, params, stream):
        await trio.sleep(1)

    async with pair(Service(streams={"wait": wait})) as (asking, _):

        async def use():
            async with asking.stream("wait") as stream:
                assert [message async for message in stream] == []

        async with trio.open_nursery() as nursery:
            for _ in range(limits.RPC_STREAMS_PER_CONNECTION + 1):
                nursery.start_soon(use)
    assert trio.current_time() >= 2


async def test_garbage_is_answered_with_the_reason_and_the_connection_closed(autojump_clock):
    here, there = trio.testing.memory_stream_pair()
    async with live(there, NODE, Service({"echo": echo})) as serving:
        async with live(here, MASTER, Service()) as asking:
            asking._wire._queue(b"\x00\x00\x00\x03abc")
            asking._wake_writer()
            await asking.wait_closed()
            assert "does not hold one valid msgpack value" in str(asking.closed_reason)
        await serving.wait_closed()


async def test_an_error_of_the_block_leaves_as_itself():
    with pytest.raises(ZeroDivisionError):
        async with pair(Service()):
            raise ZeroDivisionError
