# SPDX-License-Identifier: LGPL-2.1-or-later
"""Datagrams as they are on the wire, spoken without the library, and plain UDP programs at the other end.

udp_wire.py serve PORT               a UDP server: prints what came and from where, answers in capitals
udp_wire.py ask ADDRESS PORT TEXT..  a UDP client: one question after another; prints the answers
udp_wire.py talk ROAD CASE           speaks to the server's port 4801 as the manual says (ROAD: a realm, or vsock)
udp_wire.py listen ROAD CASE         listens on port 4802, likewise
"""
import socket
import sys
import time

BITS = 0x55440000
PATIENCE = 60


def say(*words):
    print(*words, flush=True)


def serve(port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", int(port)))
    say("ready")
    while True:
        data, peer = server.recvfrom(70000)
        say(len(data), data[:16].decode(), "from", *peer)
        server.sendto(data.upper(), peer)


def ask(address, port, *texts):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind(("0.0.0.0", 0))
    client.connect((address, int(port)))
    for text in texts:
        try:
            client.send(text.encode())
            # Blocking, without a limit of Python's, which would poll.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, (2).to_bytes(8, "little") + bytes(8))
            say("answer", client.recv(70000).decode())
        except OSError as error:
            say(text, type(error).__name__)


class Road:
    """Stream sockets of one CID: 3 of a realm, or this machine's own."""

    def __init__(self, name):
        self.realm = None if name == "vsock" else name

    def address(self, cid, port):
        return f"\0ip2vsock/{self.realm}/{cid}_{port}" if self.realm else (1, port)

    def socket(self):
        made = socket.socket(socket.AF_UNIX if self.realm else socket.AF_VSOCK, socket.SOCK_STREAM)
        made.settimeout(PATIENCE)
        return made

    def connect(self, port):
        made = self.socket()
        if self.realm:
            made.bind(self.address(3, 1000000 + time.monotonic_ns() % 1000000000))
        made.connect(self.address(1, port ^ BITS))
        return made

    def listen(self, port):
        made = self.socket()
        made.bind(self.address(3, port ^ BITS) if self.realm else (0xFFFFFFFF, port ^ BITS))
        made.listen(16)
        return made


def hello(port=40000, version=1, rest=b"\0\0\0"):
    return b"i2vU" + bytes([version]) + rest + port.to_bytes(4, "big")


def record(data):
    return len(data).to_bytes(2, "big") + data


def take(stream, size):
    got = b""
    while len(got) < size:
        more = stream.recv(size - len(got))
        if not more:
            raise EOFError
        got += more
    return got


def take_record(stream):
    return take(stream, int.from_bytes(take(stream, 2), "big"))


def say_end(stream):
    """That the other end closes, and says nothing before."""
    try:
        say("end" if stream.recv(1) == b"" else "more")
    except ConnectionError:
        say("end")


def one(road):
    stream = road.connect(4801)
    stream.sendall(hello() + record(b"one"))
    say(take_record(stream))


def both_ways(road):
    stream = road.connect(4801)
    stream.sendall(hello(12345))
    for i in range(3):
        stream.sendall(record(b"number %d" % i))
        say(take_record(stream))


def many_at_once(road):
    stream = road.connect(4801)
    stream.sendall(hello() + b"".join(record(b"many %d" % i) for i in range(50)))
    say(all(take_record(stream) == b"MANY %d" % i for i in range(50)))


def byte_by_byte(road):
    stream = road.connect(4801)
    for byte in hello(50000) + record(b"slowly") + record(b"and more"):
        stream.sendall(bytes([byte]))
        time.sleep(0.005)
    say(take_record(stream), take_record(stream))


def sizes(road):
    stream = road.connect(4801)
    stream.sendall(hello())
    for size in 0, 1, 1472, 65507:
        stream.sendall(record(b"x" * size))
        say(size, take_record(stream) == b"X" * size)


def wide_port(road):
    stream = road.connect(4801)
    stream.sendall(hello(0x01020304) + record(b"wide"))
    say(take_record(stream))


def comes_again(road):
    for text in b"first", b"second":
        stream = road.connect(4801)
        stream.sendall(hello(41000) + record(text))
        say(take_record(stream))
        stream.close()


def foreign(road):
    stream = road.connect(4801)
    stream.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    say_end(stream)


def version_two(road):
    stream = road.connect(4801)
    stream.sendall(hello(version=2) + record(b"from the future"))
    say_end(stream)


def reserved_bytes(road):
    stream = road.connect(4801)
    stream.sendall(hello(rest=b"\0\1\0") + record(b"from the future"))
    say_end(stream)


def reserved_length(road):
    stream = road.connect(4801)
    stream.sendall(hello() + record(b"before"))
    say(take_record(stream))
    stream.sendall(b"\xff\xf8" + b"x" * 100)
    say_end(stream)


def hello_only(road):
    """Those who begin and do not go on are in nobody's way."""
    quiet = [road.connect(4801) for _ in range(20)]
    for i, stream in enumerate(quiet):
        stream.sendall(hello(42000 + i)[:i % 12])
    one(road)


def broken_off(road):
    stream = road.connect(4801)
    stream.sendall(hello() + record(b"whole") + record(b"not whole")[:5])
    say(take_record(stream))
    stream.close()
    one(road)


def answers(road):
    listener = road.listen(4802)
    say("ready")
    stream, _ = listener.accept()
    start = take(stream, 12)
    say(start[:8], 1024 <= int.from_bytes(start[8:], "big") < 65536)
    for _ in range(2):
        stream.sendall(record(take_record(stream)[::-1]))
    say_end(stream)


def talks_nonsense(road):
    """The first connection answers what is no record; the second, of the next question, does better."""
    listener = road.listen(4802)
    say("ready")
    stream, _ = listener.accept()
    take(stream, 12)
    say(take_record(stream))
    stream.sendall(b"\xff\xffnonsense")
    say_end(stream)
    answers_one(listener)


def closes(road):
    listener = road.listen(4802)
    say("ready")
    stream, _ = listener.accept()
    take(stream, 12)
    say(take_record(stream))
    stream.close()
    answers_one(listener)


def answers_one(listener):
    stream, _ = listener.accept()
    take(stream, 12)
    data = take_record(stream)
    say(data)
    stream.sendall(record(data[::-1]))
    say_end(stream)


TALK = (one, both_ways, many_at_once, byte_by_byte, sizes, wide_port, comes_again, foreign, version_two, reserved_bytes,
        reserved_length, hello_only, broken_off)
LISTEN = (answers, talks_nonsense, closes)


def main(mode, *words):
    if mode == "serve":
        serve(*words)
    elif mode == "ask":
        ask(*words)
    else:
        road, case = words
        {f.__name__.replace("_", "-"): f for f in (TALK if mode == "talk" else LISTEN)}[case](Road(road))


main(*sys.argv[1:])
