# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stand-in for a virtual machine monitor (vmm.c), spoken to by a host's and a guest's programs without the library.

vmm_talk.py CASE ROAD PATH   ROAD is a realm, or vsock; PATH where the stand-in listens
"""
import hashlib
import os
import re
import resource
import select
import socket
import sys
import threading
import time

case, road, path = sys.argv[1:4]
PORT = 4900
HOST_PORT = 4901  # vmm -g
PATIENCE = 60 * int(os.environ.get("SCALE", "1"))
SCALE = int(os.environ.get("SCALE", "1"))


def say(*words):
    print(*words, flush=True)


def vm_socket(cid, port):
    """A socket on the guest's side, and an address there."""
    made = socket.socket(socket.AF_VSOCK if road == "vsock" else socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(PATIENCE)
    return made, (1, port) if road == "vsock" else f"\0ip2vsock/{road}/{cid}_{port}"


def guest_listen(port=PORT, backlog=128):
    listener, address = vm_socket(1, port)
    listener.bind((socket.VMADDR_CID_ANY, port) if road == "vsock" else address)
    listener.listen(backlog)
    return listener


def guest_connect(port=HOST_PORT):
    client, address = vm_socket(2, port)
    client.connect(address)
    return client


def host_listen(port=HOST_PORT):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.settimeout(PATIENCE)
    listener.bind(f"{path}_{port}")
    listener.listen(128)
    return listener


def dial():
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(path)  # which waits at a full backlog
    client.settimeout(PATIENCE)
    return client


def line(client):
    """One line, and no byte more."""
    got = b""
    while not got.endswith(b"\n"):
        byte = client.recv(1)
        if not byte:
            raise EOFError(f"the end after {got}")
        got += byte
    return got


def ask(client, port=PORT, more=b""):
    client.sendall(b"CONNECT %d\n%s" % (port, more))
    answer = line(client)
    if not re.fullmatch(rb"OK [0-9]+\n", answer):
        raise ValueError(answer)
    return int(answer[3:])


def pair():
    """A host's connection and the guest's end of it."""
    with guest_listen() as listener:
        client = dial()
        ask(client)
        return client, listener.accept()[0]


def read_all(connection):
    got = b""
    try:
        while data := connection.recv(65536):
            got += data
    except ConnectionResetError:
        pass
    return got


def answers():
    """The answer names the port that the guest sees its peer at."""
    listener = guest_listen()
    for request in b"CONNECT 4900\n", b"connect 4900\n", b"Connect  4900\r\n":
        client = dial()
        client.sendall(request)
        answer = line(client)
        server, peer = listener.accept()
        seen = peer[1] if road == "vsock" else int(peer.decode().rpartition("_")[2])
        say(request, re.sub(rb"[0-9]+", b"N", answer), int(answer[3:]) == seen >= 1 << 30)


def behind():
    """What stands behind the request is the guest's, what stands behind the answer the host's."""
    with guest_listen() as listener:
        client = dial()
        client.sendall(b"CONNECT 4900\nto the guest")
        server = listener.accept()[0]
        server.sendall(b"to the host")
        say(server.recv(100))
        say(re.sub(rb"[0-9]+", b"N", line(client)), client.recv(100))


def pieces():
    with guest_listen():
        client = dial()
        try:
            for byte in b"CONNECT 4900\n":
                client.sendall(bytes([byte]))
                time.sleep(0.01)
            say(re.sub(rb"[0-9]+", b"N", line(client)))
        except (EOFError, OSError) as error:
            say("refused" if isinstance(error, (BrokenPipeError, EOFError, ConnectionResetError)) else error)


def malformed():
    with guest_listen() as listener:
        for request in (
            b"CONNECT 4902\n", b"HELLO 4900\n", b"CONNECT\n4900\n", b"CONNECT  \n 0", b"CONNECT 4900x\n", b"CONNECT -1\n        ",
            b"CONNECT 4294967296\n", b"CONNECT 99999999999999999999\n", b"CONNECT4900\n", b"CONNECT 4900 4900\n",
            b"CONNECT                     4900\n", b"\0" * 40, b"GET / HTTP/1.1\r\n\r\n",
        ):
            client = dial()
            client.sendall(request)
            say(request, read_all(client))
        say(select.select([listener], [], [], 0.2)[0])


def unfinished():
    client = dial()
    start = time.monotonic()
    client.sendall(b"CONNECT 49")
    say(client.recv(1), "after 2 s" if 1.9 < time.monotonic() - start < 2.5 + SCALE / 4 else time.monotonic() - start)


def backlog():
    """The guest has room for one: the others wait, and are given up."""
    with guest_listen(backlog=0) as listener:
        first, second, third = dial(), dial(), dial()
        ask(first)
        second.sendall(b"CONNECT 4900\n")
        time.sleep(0.1)
        listener.accept()[0].close()
        say(re.sub(rb"[0-9]+", b"N", line(second)))
        third.sendall(b"CONNECT 4900\n")
        say(third.recv(1))


def half_closes():
    client, server = pair()
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    say(read_all(server))
    time.sleep(0.1)
    server.sendall(b"answer")
    server.close()
    say(read_all(client))
    client, server = pair()
    server.sendall(b"question")
    server.shutdown(socket.SHUT_WR)
    say(read_all(client))
    client.sendall(b"answer")
    client.close()
    say(read_all(server))


def host_half_close():
    """The guest's answer is lost where the end of what the host sends is the end of all."""
    client, server = pair()
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    say(read_all(server))
    try:
        server.sendall(b"answer")
        say(read_all(client))
    except BrokenPipeError:
        say("nobody", read_all(client))


def guest_half_close():
    """The host sees the end only when the guest has closed."""
    client, server = pair()
    server.sendall(b"question")
    server.shutdown(socket.SHUT_WR)
    say(client.recv(100), select.select([client], [], [], 0.3)[0])
    client.sendall(b"answer")
    say(server.recv(100))
    server.close()
    say(client.recv(100))


def gone():
    """Who is gone is gone at the other end as well: the end, then a broken pipe."""
    for first, second in (0, 1), (1, 0):
        ends = pair()
        ends[first].close()
        say(ends[second].recv(100))
        try:
            for _ in range(100):
                ends[second].send(b"x")
                time.sleep(0.01)
            say("still there")
        except BrokenPipeError:
            say("broken pipe")


SIZE = 64 << 20 if SCALE == 1 else 4 << 20


def pour(connection, seed):
    block = hashlib.sha512(seed).digest() * 1024
    total = hashlib.sha256()
    for _ in range(SIZE // len(block)):
        connection.sendall(block)
        total.update(block)
    return total.hexdigest()


def drain(connection, pause):
    """So many bytes: there are monitors where an end of one direction is the end of both."""
    total = hashlib.sha256()
    left = SIZE
    while left and (data := connection.recv(min(left, 1 << 18))):
        total.update(data)
        left -= len(data)
        if pause:
            time.sleep(0.0001)
    return total.hexdigest()


def bulk():
    """Both ways at once, one reader slower than the other."""
    ends = pair()
    sums = [None] * 4

    def run(index, job, *args):
        sums[index] = job(*args)

    threads = [threading.Thread(target=run, args=job) for job in (
        (0, pour, ends[0], b"there"), (1, drain, ends[1], True), (2, pour, ends[1], b"back"), (3, drain, ends[0], False))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say(sums[0] == sums[1], sums[2] == sums[3], sums[0] != sums[2])


def full():
    """Who does not read makes the sender wait, and not the stand-in grow."""
    client, server = pair()
    client.setblocking(False)
    sent = 0
    quiet = 0
    while quiet < 5:
        try:
            sent += client.send(bytes(65536))
            quiet = 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.05)
    say("waits" if sent < 4 << 20 else f"took {sent} bytes")
    client.close()
    say(len(read_all(server)) == sent)


def many(number):
    clients, servers = [], []
    with guest_listen(backlog=4096) as listener:
        for _ in range(number):
            clients.append(dial())
            clients[-1].sendall(b"CONNECT 4900\n")
        for client in clients:
            try:
                line(client)
                servers.append(listener.accept()[0])
            except (EOFError, ConnectionResetError):
                client.close()
    clients = [client for client in clients if client.fileno() >= 0]
    for server in servers:
        server.sendall(b"x")
    say(len(clients), sum(client.recv(1) == b"x" for client in clients))


def three_hundred():
    many(300)


def too_many():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    many(1030)


def from_guest():
    with host_listen() as listener:
        for text in b"one", b"two":
            client = guest_connect()
            client.sendall(text)
            server = listener.accept()[0]
            say(server.recv(100))
            server.sendall(text.upper())
            server.close()
            say(read_all(client))
    os.unlink(f"{path}_{HOST_PORT}")
    client = guest_connect()
    say(read_all(client))


def from_guest_stale():
    host_listen().close()
    say(read_all(guest_connect()))
    os.unlink(f"{path}_{HOST_PORT}")


def from_guest_waiting():
    """The host's backlog is full: what the guest has sent waits, also when it has closed."""
    with host_listen() as listener:
        listener.listen(0)
        for text in b"one", b"two":
            client = guest_connect()
            client.sendall(text)
            client.close()
        time.sleep(0.2)
        say([read_all(listener.accept()[0]) for _ in range(2)])
    os.unlink(f"{path}_{HOST_PORT}")


def answer():
    """What comes for a request, how it ends, and when."""
    with guest_listen() as listener:
        client = dial()
        client.settimeout(0.7 * min(SCALE, 4))
        start = time.monotonic()
        try:
            client.sendall(b"CONNECT 4900\n")
            got = client.recv(65536)
            took = "" if time.monotonic() - start < 0.29 else "late "
            try:
                while data := client.recv(65536):
                    got += data
                end = "closed"
            except socket.timeout:
                end = "open"
            say(took + str(re.sub(rb"1{100,}", b"1...", re.sub(rb"OK 107374[0-9]{4}", b"OK N", got))), end)
        except (BrokenPipeError, ConnectionResetError):
            say("dropped")
        except socket.timeout:
            say("silent")


def connect():
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.setblocking(False)
    try:
        client.connect(path)
        say("connected")
    except BlockingIOError:
        say("full")


globals()[case.replace("-", "_")]()
