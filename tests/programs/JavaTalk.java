// SPDX-License-Identifier: LGPL-2.1-or-later
// An echo server, or clients of it, by streams and by channels: JavaTalk serve PORT | visit ADDRESS PORT CLIENTS

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.util.Arrays;

public class JavaTalk {
	static void serve(int port) throws Exception {
		try (ServerSocket server = new ServerSocket(port)) {
			System.out.println("listening, port right: " + (server.getLocalPort() == port));
			for (;;) {
				Socket socket = server.accept();
				Thread thread = new Thread(() -> echo(socket));
				thread.setDaemon(true);
				thread.start();
			}
		}
	}

	static void echo(Socket socket) {
		try (socket) {
			DataOutputStream out = new DataOutputStream(socket.getOutputStream());
			out.writeInt(socket.getPort());
			byte[] data = new byte[4096];
			int n;
			while ((n = socket.getInputStream().read(data)) > 0)
				out.write(data, 0, n);
		} catch (Exception e) {
			System.out.println("server: " + e);
		}
	}

	static byte[] data(int i) {
		byte[] data = new byte[1000 + i * 11];
		for (int k = 0; k < data.length; k++)
			data[k] = (byte) (k * (i + 1));
		return data;
	}

	static boolean byStream(String address, int port, int i) throws Exception {
		try (Socket socket = new Socket(address, port)) {
			byte[] data = data(i), answer = new byte[data.length];
			DataInputStream in = new DataInputStream(socket.getInputStream());
			boolean samePort = in.readInt() == socket.getLocalPort();
			socket.setTcpNoDelay(true);
			socket.getOutputStream().write(data);
			in.readFully(answer);
			socket.shutdownOutput();
			return samePort && in.read() == -1 && Arrays.equals(data, answer) && socket.getTcpNoDelay()
				&& socket.getPort() == port;
		}
	}

	// Registered with a selector before connect, as servers do that are clients as well.
	static boolean byChannel(String address, int port, int i) throws Exception {
		try (Selector selector = Selector.open(); SocketChannel channel = SocketChannel.open()) {
			byte[] data = data(i);
			ByteBuffer out = ByteBuffer.wrap(data), in = ByteBuffer.allocate(4 + data.length);
			channel.configureBlocking(false);
			SelectionKey key = channel.register(selector, SelectionKey.OP_CONNECT);
			if (channel.connect(new InetSocketAddress(address, port)))
				key.interestOps(SelectionKey.OP_WRITE);
			while (in.hasRemaining()) {
				if (selector.select(60000) == 0)
					return false;
				selector.selectedKeys().clear();
				if (key.isConnectable() && channel.finishConnect())
					key.interestOps(SelectionKey.OP_WRITE | SelectionKey.OP_READ);
				if (key.isWritable()) {
					channel.write(out);
					if (!out.hasRemaining())
						key.interestOps(SelectionKey.OP_READ);
				}
				if (key.isReadable() && channel.read(in) < 0)
					return false;
			}
			in.flip();
			int seen = in.getInt();
			byte[] answer = new byte[in.remaining()];
			in.get(answer);
			return Arrays.equals(data, answer)
				&& seen == ((InetSocketAddress) channel.getLocalAddress()).getPort();
		}
	}

	public static void main(String[] args) throws Exception {
		if (args[0].equals("serve")) {
			serve(Integer.parseInt(args[1]));
			return;
		}
		int port = Integer.parseInt(args[2]), clients = Integer.parseInt(args[3]), streams = 0, channels = 0;
		for (int i = 0; i < clients; i++) {
			streams += byStream(args[1], port, i) ? 1 : 0;
			channels += byChannel(args[1], port, i) ? 1 : 0;
		}
		System.out.println("good: " + streams + " streams, " + channels + " channels");
	}
}
