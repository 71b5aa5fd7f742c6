"""The service `test.Echo` by grpcio; says its port, and then when calls are cancelled. Messages are raw bytes. With the path
of a file as its argument it has the health service, too, and serves as long as that file is there."""
import os
import re
import sys
import threading
from concurrent import futures

import grpc

CODES = {code.value[0]: code for code in grpc.StatusCode}


def begin(context):
    own = dict(context.invocation_metadata()).get("x-id", "")
    context.send_initial_metadata((("x-id", own),))
    context.set_trailing_metadata((("x-end", own),))
    return own


def unary(message, context):
    begin(context)
    return message


def split(message, context):
    begin(context)
    for at in range(len(message)):
        yield message[at : at + 1]


def join(messages, context):
    begin(context)
    return b"".join(messages)


def talk(messages, context):
    begin(context)
    yield from messages


def fail(message, context):
    own = dict(context.invocation_metadata())["x-id"]
    context.set_trailing_metadata((("x-id", own),))
    context.abort(CODES[int(re.search(rb"\d+$", message)[0])], "it fails: 50 % ü")


def hang(message, context):
    ended = threading.Event()
    context.add_callback(ended.set)
    left = context.time_remaining()
    print("deadline" if left is not None and left < 1000 else "no deadline", flush=True)
    ended.wait()
    print("cancelled", flush=True)
    return b""


handlers = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Split": grpc.unary_stream_rpc_method_handler(split),
    "Join": grpc.stream_unary_rpc_method_handler(join),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Hang": grpc.unary_unary_rpc_method_handler(hang),
}
server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
if len(sys.argv) > 1:
    # HealthCheckResponse with the status SERVING or NOT_SERVING
    check = grpc.unary_unary_rpc_method_handler(lambda message, context: b"\x08\x01" if os.path.exists(sys.argv[1]) else b"\x08\x02")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check}),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(f"port {port}", flush=True)
server.wait_for_termination()
