# SPDX-License-Identifier: LGPL-2.1-or-later
"""An asyncio echo server, or many clients of it: asyncio_talk.py serve PORT | visit ADDRESS PORT CLIENTS"""
import asyncio
import socket
import sys


async def echo(reader, writer):
    sock = writer.get_extra_info("socket")
    peer = writer.get_extra_info("peername")
    # What Python makes of the socket decides what programs do with it.
    writer.write(f"{socket.AddressFamily(sock.family).name} {peer[1]}\n".encode())
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(port):
    server = await asyncio.start_server(echo, None, port, backlog=512)
    print("listening", flush=True)
    async with server:
        await server.serve_forever()


async def visit(number, address, port):
    reader, writer = await asyncio.open_connection(address, port)
    hello = (await reader.readline()).decode().split()
    own = writer.get_extra_info("sockname")[1]
    data = bytes((i * number) & 255 for i in range(2000 + number))
    writer.write(data)
    answer = await reader.readexactly(len(data))
    writer.write_eof()
    rest = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer == data and rest == b"" and hello[0] in ("AF_INET", "AF_INET6") and int(hello[1]) == own


async def visits(address, port, clients):
    good = await asyncio.gather(*(visit(i, address, port) for i in range(clients)))
    print("good:", sum(good))


if sys.argv[1] == "serve":
    asyncio.run(serve(int(sys.argv[2])))
else:
    asyncio.run(visits(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
