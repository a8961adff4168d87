// SPDX-License-Identifier: LGPL-2.1-or-later
// Node's dgram. serve PORT; visit HOST PORT COUNT; refused HOST PORT; resolve HOST PORT NAME (a resolver of its own).
'use strict';
const dgram = require('dgram');
const dns = require('dns');

const [, , mode, ...args] = process.argv;
const ROUNDS = 10;

function serve(port) {
	const server = dgram.createSocket('udp4');
	server.on('message', (data, from) => {
		const head = Buffer.from(`${from.family} ${from.address} ${from.port} ${from.size} `);
		server.send([head, data], from.port, from.address, (error) => {
			if (error)
				console.log('send:', error.code);
		});
	});
	server.on('error', (error) => console.log('error:', error.code));
	server.bind(port, () => {
		server.setBroadcast(true);
		server.setTTL(64);
		const { family, address, port } = server.address();
		console.log(`listening ${family} ${address} ${port}, buffers: ${server.getRecvBufferSize() > 0}`);
	});
}

// One client: even ones are connected. Asks ROUNDS times, each time something else.
function ask(host, port, number) {
	return new Promise((resolve) => {
		const client = dgram.createSocket('udp4');
		const connected = number % 2 === 0;
		let round = 0;
		let data;
		let again;
		let sent = 0;

		function done(verdict) {
			clearInterval(again);
			client.close(() => resolve(verdict));
		}
		function send() {
			const called = (error, bytes) => {
				if (error || bytes !== data.length)
					return done(`send: ${error ? error.code : bytes}`);
				sent++;
			};
			if (connected)
				client.send(data, called);
			else
				client.send(data, port, host, called);
		}
		function next() {
			if (round === ROUNDS)
				return done(sent >= ROUNDS ? 'good' : 'callbacks are missing');
			data = Buffer.alloc(20 + (number * 97 + round * 389) % 1380, (number + round) % 251);
			data.write(`${process.pid}/${number}/${round} `);
			round++;
			send();
		}
		client.on('error', (error) => done(`error: ${error.code}`));
		client.on('message', (answer, from) => {
			const head = Buffer.from(`IPv4 127.0.0.1 ${client.address().port} ${data.length} `);
			if (from.address !== host || from.port !== port || from.family !== 'IPv4')
				return done(`from ${from.address} ${from.port}`);
			if (answer.equals(Buffer.concat([head, data])))
				next();
			else if (!answer.includes(`${process.pid}/${number}/`))
				done(`somebody else's: ${answer.subarray(0, 60)}`);
		});
		again = setInterval(send, 3000);
		if (connected)
			client.connect(port, host, () => {
				const peer = client.remoteAddress();
				if (peer.address !== host || peer.port !== port)
					return done(`connected to ${peer.address} ${peer.port}`);
				next();
			});
		else
			client.bind(0, next);
	});
}

async function visit(host, port, count) {
	const verdicts = await Promise.all(Array.from({ length: count }, (_, number) => ask(host, port, number)));
	for (const verdict of [...new Set(verdicts)].sort())
		console.log(`${verdict}: ${verdicts.filter((v) => v === verdict).length}`);
}

function refused(host, port) {
	const client = dgram.createSocket('udp4');
	client.on('error', (error) => {
		console.log(error.code);
		client.close();
		clearInterval(again);
	});
	// The one that is not connected hears of nothing.
	const loose = dgram.createSocket('udp4');
	loose.on('error', (error) => console.log('unconnected:', error.code));
	loose.send('x', port, host, () => setTimeout(() => loose.close(), 500));
	let again;
	client.connect(port, host, () => {
		again = setInterval(() => client.send('x'), 100);
	});
}

async function resolve(host, port, name) {
	const resolver = new dns.promises.Resolver({ timeout: 10000 });
	resolver.setServers([`${host}:${port}`]);
	const names = await Promise.all(Array.from({ length: 20 }, () => resolver.resolve4(name)));
	console.log(names.flat().join(' '));
}

if (mode === 'serve')
	serve(Number(args[0]));
else if (mode === 'visit')
	visit(args[0], Number(args[1]), Number(args[2]));
else if (mode === 'refused')
	refused(args[0], Number(args[1]));
else if (mode === 'resolve')
	resolve(args[0], Number(args[1]), args[2]);
