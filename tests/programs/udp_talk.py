# SPDX-License-Identifier: LGPL-2.1-or-later
"""UDP by asyncio's datagram endpoints and by plain sockets, as a server that says who asked, and as many clients.

serve plain|asyncio PORT NAME       answers "NAME ADDRESS PORT " and what was asked
visit plain|asyncio HOST PORT COUNT COUNT clients at the same time, each of which asks ten times
pound HOST PORT COUNT FILE          COUNT clients that ask until FILE is gone, whether anybody answers or not
from HOST PORT OWN ROUNDS           one client with the port OWN
"""
import asyncio, os, resource, select, socket, sys, time

ROUNDS = 10
PATIENCE = 60


def question(client, number):
    """All are different, and of all sizes up to 1400 bytes."""
    head = b"%d/%d/%d " % (os.getpid(), client, number)
    return head + bytes((client * 31 + number * 7 + i) % 251 for i in range((client * 97 + number * 389) % 1380))


def parted(answer):
    """Who answered, who that one thinks asked, and the question."""
    name, address, port, rest = answer.split(b" ", 3)
    return name.decode(), (address.decode(), int(port)), rest


# --- servers

def answer_of(name, data, sender):
    return b"%s %s %d " % (name.encode(), sender[0].encode(), sender[1]) + data


class Server(asyncio.DatagramProtocol):
    def __init__(self, name):
        self.name = name

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, sender):
        self.transport.sendto(answer_of(self.name, data, sender), sender)


async def serve_asyncio(port, name):
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Server(name), local_addr=("0.0.0.0", port))
    print("listening", transport.get_extra_info("sockname"), flush=True)
    await asyncio.Event().wait()


def serve_plain(port, name):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", port))
    print("listening", server.getsockname(), flush=True)
    while True:
        data, sender = server.recvfrom(65536)
        server.sendto(answer_of(name, data, sender), sender)


# --- clients. What UDP loses is asked again; an answer may come late, but never to somebody else's question.

class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.answers = asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, sender):
        self.answers.put_nowait((data, sender))

    def error_received(self, error):
        self.answers.put_nowait((repr(error).encode(), None))


async def ask_asyncio(client, number, host, port, name):
    """Even clients are connected, odd ones have a port and name the server with every datagram."""
    even = number % 2 == 0
    asked = set()
    for i in range(ROUNDS):
        data = question(number, i)
        asked.add(data)
        for _ in range(PATIENCE):
            client.transport.sendto(data, None if even else (host, port))
            try:
                answer, sender = await asyncio.wait_for(client.answers.get(), 1)
            except asyncio.TimeoutError:
                continue
            if sender != (host, port) or parted(answer)[2] not in asked:
                return "from %s: %.80s" % (sender, answer)
            if parted(answer)[1][1] != name[1]:
                return "own port %d, seen %d" % (name[1], parted(answer)[1][1])
            if parted(answer)[2] == data:
                break
        else:
            return "no answer"
    return "good"


async def visit_asyncio(host, port, count):
    loop = asyncio.get_running_loop()

    async def one(number):
        ends = {"remote_addr": (host, port)} if number % 2 == 0 else {"local_addr": ("0.0.0.0", 0)}
        transport, client = await loop.create_datagram_endpoint(Client, **ends)
        try:
            return await ask_asyncio(client, number, host, port, transport.get_extra_info("sockname"))
        finally:
            transport.close()

    return await asyncio.gather(*(one(number) for number in range(count)))


class Asker:
    """A plain socket and what it asked."""

    def __init__(self, number, host, port, own=0):
        self.number, self.server, self.asked, self.sent, self.done = number, (host, port), set(), 0, 0
        self.verdict = None
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        if own or number % 2:
            self.socket.bind(("0.0.0.0", own))
        else:
            self.socket.connect(self.server)

    def ask(self, data):
        self.asked.add(data)
        self.last, self.when = data, time.monotonic()
        try:
            if self.number % 2 == 0:
                self.socket.send(data)
            else:
                self.socket.sendto(data, self.server)
        except (ConnectionRefusedError, BlockingIOError):
            pass

    def hear(self):
        """Who answered, or None; a wrong answer is an exception."""
        try:
            answer, sender = self.socket.recvfrom(65536)
        except ConnectionRefusedError:
            return None, None
        if sender != self.server:
            raise ValueError("an answer of %s" % (sender,))
        name, seen, data = parted(answer)
        if data not in self.asked:
            raise ValueError("an answer to another question: %.80s" % data)
        if seen[1] != self.socket.getsockname()[1]:
            raise ValueError("own port %d, seen %d" % (self.socket.getsockname()[1], seen[1]))
        return name, data


def visit_plain(host, port, count):
    askers = {}
    for number in range(count):
        asker = Asker(number, host, port)
        askers[asker.socket.fileno()] = asker
        asker.ask(question(number, 0))
    poll = select.poll()
    for fd in askers:
        poll.register(fd, select.POLLIN)
    good = []
    end = time.monotonic() + PATIENCE
    while askers and time.monotonic() < end:
        for fd, _ in poll.poll(200):
            asker = askers[fd]
            try:
                _, data = asker.hear()
            except BlockingIOError:
                continue
            if data != asker.last:
                continue
            asker.done += 1
            if asker.done < ROUNDS:
                asker.ask(question(asker.number, asker.done))
                continue
            poll.unregister(fd)
            good.append("good")
            askers.pop(fd).socket.close()
        for asker in askers.values():
            if time.monotonic() - asker.when > 1:
                asker.ask(asker.last)
    return good + ["no answer"] * len(askers)


def pound(host, port, count, file):
    """Says when a server with a new name has answered all clients, and when none of the others is heard any more."""
    askers = [Asker(number, host, port) for number in range(count)]
    heard = {}
    number = 0
    while os.path.exists(file):
        number += 1
        for asker in askers:
            asker.ask(question(asker.number, number))
        end = time.monotonic() + 0.02
        while (left := end - time.monotonic()) > 0:
            for ready in select.select([asker.socket for asker in askers], [], [], left)[0]:
                asker = next(asker for asker in askers if asker.socket is ready)
                try:
                    name, _ = asker.hear()
                except BlockingIOError:
                    continue
                if name is None:
                    continue
                heard.setdefault(name, set()).add(asker.number)
                if len(heard[name]) == count:
                    print("all heard", name, flush=True)
                    heard[name] = set(range(-1, count))
    print("nothing wrong", flush=True)


def one_from(host, port, own, rounds):
    asker = Asker(1, host, port, own)
    poll = select.poll()
    poll.register(asker.socket, select.POLLIN)
    done = 0
    for i in range(rounds):
        data = question(1, i)
        for _ in range(PATIENCE):
            asker.ask(data)
            if poll.poll(1000) and asker.hear()[1] == data:
                done += 1
                break
    print("answers:", done)


def main():
    what = sys.argv[1]
    if what == "serve":
        if sys.argv[2] == "plain":
            serve_plain(int(sys.argv[3]), sys.argv[4])
        else:
            asyncio.run(serve_asyncio(int(sys.argv[3]), sys.argv[4]))
    elif what == "visit":
        host, port, count = sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
        if sys.argv[2] == "plain":
            verdicts = visit_plain(host, port, count)
        else:
            verdicts = asyncio.run(visit_asyncio(host, port, count))
        for verdict in sorted(set(verdicts)):
            print("%s: %d" % (verdict, verdicts.count(verdict)))
    elif what == "pound":
        pound(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    elif what == "from":
        one_from(sys.argv[2], *map(int, sys.argv[3:6]))


# Where datagrams are carried each socket has others beside it.
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY and hard < 8192 else 8192, hard))
main()
