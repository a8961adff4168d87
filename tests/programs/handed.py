# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server whose socket somebody else opened: handed.py listener|connection FD [COUNT]; and its client: handed.py client ADDRESS PORT.

The server tells each client what it sees of its sockets; the client prints that, with its own port as "client".
"""
import os
import socket
import sys


def seen(name, sock):
    peer = ""
    try:
        peer = " from %s %d" % sock.getpeername()[:2]
    except OSError as error:
        peer = " from nobody (%s)" % error.strerror
    options = ((socket.SOL_SOCKET, socket.SO_DOMAIN), (socket.SOL_SOCKET, socket.SO_PROTOCOL),
               (socket.SOL_SOCKET, socket.SO_TYPE), (socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
               (socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, socket.TCP_NODELAY),
               (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
    return "%s: %s %s at %s %d%s, options %s\n" % (
        name, sock.family.name, sock.type.name, *sock.getsockname()[:2], peer,
        " ".join(str(sock.getsockopt(*option)) for option in options))


def serve(connection, listener):
    text = seen("listener", listener) if listener else ""
    connection.sendall((text + seen("connection", connection) + "echo: ").encode())
    while True:
        data = connection.recv(100)
        if not data:
            break
        connection.sendall(data)
    connection.close()


if sys.argv[1] == "client":
    client = socket.create_connection((sys.argv[2], int(sys.argv[3])))
    client.sendall(b"hello")
    client.shutdown(socket.SHUT_WR)
    text = client.makefile().read().replace(" %d" % client.getsockname()[1], " client")
    print(text.replace(" %s" % sys.argv[3], " server"))
elif sys.argv[1] == "connection":
    serve(socket.socket(fileno=os.dup(int(sys.argv[2]))), None)
elif sys.argv[1] == "listener":
    listener = socket.socket(fileno=int(sys.argv[2]))
    for _ in range(int(sys.argv[3])):
        connection, address = listener.accept()
        if connection.getpeername() != address:
            connection.sendall(b"the address of accept is another one: %s\n" % repr(address).encode())
        serve(connection, listener)
elif sys.argv[1] == "inetd":
    # inetd.py wait|nowait ADDRESS PORT COUNT PROGRAM...: opens the listener and hands it, or each connection, over.
    import subprocess

    how, address, port, count = sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
    listener.bind((address, port))
    listener.listen()
    if how == "wait":
        subprocess.run(sys.argv[6:], stdin=listener.fileno(), check=True)
    for _ in range(count if how == "nowait" else 0):
        connection, _ = listener.accept()
        subprocess.run(sys.argv[6:], stdin=connection.fileno(), stdout=connection.fileno(), check=True)
        connection.close()
