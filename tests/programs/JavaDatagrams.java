// SPDX-License-Identifier: LGPL-2.1-or-later
// UDP in Java, by sockets and by channels: serve socket|channel PORT; visit HOST PORT COUNT; refused HOST PORT.
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.PortUnreachableException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

public class JavaDatagrams {
	static final int ROUNDS = 10;

	// Answers with the port of who asked, and what was asked.
	static byte[] answer(int port, byte[] data, int size) {
		final byte[] head = (port + " ").getBytes(StandardCharsets.US_ASCII);
		final byte[] whole = Arrays.copyOf(head, head.length + size);
		System.arraycopy(data, 0, whole, head.length, size);
		return whole;
	}

	static void serveSocket(int port) throws IOException {
		try (DatagramSocket server = new DatagramSocket(port)) {
			System.out.println("listening, port right: " + (server.getLocalPort() == port));
			final DatagramPacket packet = new DatagramPacket(new byte[65507], 65507);
			while (true) {
				packet.setLength(65507);
				server.receive(packet);
				final byte[] bytes = answer(packet.getPort(), packet.getData(), packet.getLength());
				server.send(new DatagramPacket(bytes, bytes.length, packet.getSocketAddress()));
			}
		}
	}

	static void serveChannel(int port) throws IOException {
		try (DatagramChannel server = DatagramChannel.open(); Selector selector = Selector.open()) {
			server.bind(new InetSocketAddress(port));
			server.configureBlocking(false);
			server.register(selector, SelectionKey.OP_READ);
			System.out.println("listening, port right: "
				+ (((InetSocketAddress)server.getLocalAddress()).getPort() == port));
			final ByteBuffer buffer = ByteBuffer.allocateDirect(65507);
			while (true) {
				selector.select();
				selector.selectedKeys().clear();
				InetSocketAddress from;
				while ((from = (InetSocketAddress)server.receive(buffer.clear())) != null) {
					final byte[] data = new byte[buffer.flip().remaining()];
					buffer.get(data);
					server.send(ByteBuffer.wrap(answer(from.getPort(), data, data.length)), from);
				}
			}
		}
	}

	static byte[] question(int client, int round) {
		final byte[] data = new byte[20 + (client * 97 + round * 389) % 1380];
		for (int i = 0; i < data.length; i++)
			data[i] = (byte)(client * 31 + round * 7 + i);
		return data;
	}

	// What was late is answered twice.
	static boolean isAgain(byte[] got, int length, int own, int client, int round) {
		if (round == 0)
			return false;
		final byte[] data = question(client, round - 1);
		return Arrays.equals(Arrays.copyOf(got, length), answer(own, data, data.length));
	}

	// Even ones are connected. What is lost is asked again.
	static String bySocket(InetSocketAddress to, int client) throws IOException {
		try (DatagramSocket socket = new DatagramSocket()) {
			socket.setSoTimeout(2000);
			if (client % 2 == 0)
				socket.connect(to);
			for (int round = 0; round < ROUNDS; round++) {
				final byte[] data = question(client, round);
				final byte[] wanted = answer(socket.getLocalPort(), data, data.length);
				final DatagramPacket got = new DatagramPacket(new byte[2000], 2000);
				for (int tries = 0; ; tries++) {
					if (tries == 20)
						return "no answer";
					socket.send(new DatagramPacket(data, data.length, to));
					try {
						do
							socket.receive(got);
						while (isAgain(got.getData(), got.getLength(), socket.getLocalPort(), client, round));
						break;
					} catch (SocketTimeoutException e) {
						continue;
					}
				}
				if (!got.getSocketAddress().equals(to))
					return "an answer of " + got.getSocketAddress();
				if (!Arrays.equals(Arrays.copyOf(got.getData(), got.getLength()), wanted))
					return "another answer";
			}
			return "good";
		}
	}

	static String byChannel(InetSocketAddress to, int client) throws IOException {
		try (DatagramChannel channel = DatagramChannel.open(); Selector selector = Selector.open()) {
			channel.bind(null);
			if (client % 2 == 0)
				channel.connect(to);
			channel.configureBlocking(false);
			channel.register(selector, SelectionKey.OP_READ);
			final int own = ((InetSocketAddress)channel.getLocalAddress()).getPort();
			for (int round = 0; round < ROUNDS; round++) {
				final byte[] data = question(client, round);
				final byte[] wanted = answer(own, data, data.length);
				final ByteBuffer got = ByteBuffer.allocate(2000);
				int tries = 0;
				do {
					if (tries++ == 20)
						return "no answer";
					final int sent = client % 2 == 0 ? channel.write(ByteBuffer.wrap(data))
						: channel.send(ByteBuffer.wrap(data), to);
					if (sent != data.length)
						return "sent " + sent;
					if (selector.select(2000) == 0)
						continue;
					selector.selectedKeys().clear();
					if (!to.equals(channel.receive(got.clear())))
						return "an answer of somebody else";
				} while (got.position() == 0 || isAgain(got.array(), got.position(), own, client, round));
				if (!Arrays.equals(Arrays.copyOf(got.array(), got.position()), wanted))
					return "another answer";
			}
			return "good";
		}
	}

	static void visit(InetSocketAddress to, int count) throws Exception {
		final String[] verdicts = new String[2 * count];
		final Thread[] threads = new Thread[verdicts.length];
		for (int i = 0; i < threads.length; i++) {
			final int client = i;
			threads[i] = new Thread(() -> {
				try {
					verdicts[client] = client < count ? bySocket(to, client) : byChannel(to, client);
				} catch (IOException e) {
					verdicts[client] = e.toString();
				}
			});
			threads[i].start();
		}
		for (Thread thread : threads)
			thread.join();
		final String[] bad = Arrays.stream(verdicts).filter(verdict -> !verdict.equals("good"))
			.distinct().toArray(String[]::new);
		System.out.println(bad.length > 0 ? String.join(", ", bad)
			: "good: " + count + " sockets, " + count + " channels");
	}

	static void refused(InetSocketAddress to) throws Exception {
		try (DatagramSocket socket = new DatagramSocket()) {
			socket.connect(to);
			socket.setSoTimeout(5000);
			for (int i = 0; i < 5; i++) {
				socket.send(new DatagramPacket(new byte[1], 1));
				socket.receive(new DatagramPacket(new byte[1], 1));
			}
		} catch (PortUnreachableException e) {
			System.out.println("refused");
		}
	}

	public static void main(String[] args) throws Exception {
		switch (args[0]) {
		case "serve":
			if (args[1].equals("socket"))
				serveSocket(Integer.parseInt(args[2]));
			else
				serveChannel(Integer.parseInt(args[2]));
			break;
		case "visit":
			visit(new InetSocketAddress(InetAddress.getByName(args[1]), Integer.parseInt(args[2])),
				Integer.parseInt(args[3]));
			break;
		case "refused":
			refused(new InetSocketAddress(InetAddress.getByName(args[1]), Integer.parseInt(args[2])));
			break;
		}
	}
}
