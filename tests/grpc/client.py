"""Calls `test.Echo` by grpcio, through a gateway: python client.py ADDRESS KIND

KIND says which server is behind: `tonic`, or `grpcio` (server.py), which sends trailers of its own with good answers, too.
Messages are raw bytes. Each call has an id, which must come back. Ends with 1 on the first thing that is wrong.
"""
import sys
import threading

import grpc

ADDRESS, KIND = sys.argv[1:]
CODES = list(grpc.StatusCode)


def check(holds, *what):
    if not holds:
        print("wrong:", *what, flush=True)
        sys.exit(1)


def field(metadata, name):
    return dict(metadata or ()).get(name)


class Calls:
    def __init__(self, channel):
        path = "/test.Echo/"
        self.unary = channel.unary_unary(path + "Unary")
        self.split = channel.unary_stream(path + "Split")
        self.join = channel.stream_unary(path + "Join")
        self.talk = channel.stream_stream(path + "Talk")
        self.fail = channel.unary_unary(path + "Fail")
        self.hang = channel.unary_unary(path + "Hang")
        self.nothing = channel.unary_unary(path + "Nothing")


def ids(own):
    return {"metadata": (("x-id", str(own)),), "timeout": 20}


def refused(call, message, **more):
    try:
        call(message, **more)
    except grpc.RpcError as error:
        return error
    check(False, "an error was expected")


def kinds(calls):
    answer, call = calls.unary.with_call(b"hello", **ids(1))
    check(answer == b"hello" and field(call.initial_metadata(), "x-id") == "1", answer, call.initial_metadata())
    if KIND == "grpcio":
        check(field(call.trailing_metadata(), "x-end") == "1", "trailers", call.trailing_metadata())
    parts = calls.split(b"abc", **ids(2))
    check(list(parts) == [b"a", b"b", b"c"] and field(parts.initial_metadata(), "x-id") == "2", "split")
    answer, call = calls.join.with_call(iter([b"x", b"y", b"z"]), **ids(3))
    check(answer == b"xyz" and field(call.initial_metadata(), "x-id") == "3", "join", answer)

    # Each side waits for the other's word.
    heard, words = threading.Semaphore(1), [b"one", b"two", b"three"]

    def speak():
        for word in words:
            heard.acquire()
            yield word

    echoed = []
    for word in calls.talk(speak(), **ids(4)):
        echoed.append(word)
        heard.release()
    check(echoed == words, "talk", echoed)


def statuses(calls):
    for code in CODES:
        number = code.value[0]
        if number == 0:
            continue
        error = refused(calls.fail, str(number).encode(), **ids(100 + number))
        check(error.code() == code, error.code(), "for", code)
        check(error.details() == "it fails: 50 % ü", error.details())
        check(field(error.trailing_metadata(), "x-id") == str(100 + number), error.trailing_metadata())
    check(refused(calls.nothing, b"", **ids(5)).code() == grpc.StatusCode.UNIMPLEMENTED, "a call that is not there")


def deadlines(calls):
    error = refused(calls.hang, b"", metadata=(("x-id", "6"),), timeout=0.3)
    check(error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error.code())
    call = calls.hang.future(b"", **ids(7))
    call.cancel()
    check(call.cancelled(), "cancelled")


def many(calls):
    """200 calls at once on one connection, answers in any order."""
    futures = []
    for own in range(200):
        message = (b"%d " % own) * (own * 5 + 1)
        futures.append((own, message, calls.unary.future(message, **ids(own))))
    for own, message, future in futures:
        check(future.result() == message, "the answer to another call", own)
        check(field(future.initial_metadata(), "x-id") == str(own), "the id of another call", own)


with grpc.insecure_channel(ADDRESS) as channel:
    calls = Calls(channel)
    for part in (kinds, statuses, deadlines, many):
        part(calls)
print("all is well", flush=True)
