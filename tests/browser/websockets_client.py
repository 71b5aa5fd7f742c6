"""A client of one WebSocket: a text, a long binary message, a ping, and then what it is told at the end."""
import asyncio, ssl, sys
import websockets


async def main(url):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with websockets.connect(url, ssl=context) as socket:
        await socket.send("hello")
        print(await socket.recv(), flush=True)
        await socket.send(b"x" * 65536)
        print(len(await socket.recv()), "bytes back", flush=True)
        await (await socket.ping())
        print("pong", flush=True)
        try:
            await socket.recv()
        except websockets.ConnectionClosed:
            print("closed", socket.close_code, flush=True)


asyncio.run(main(sys.argv[1]))
