// SPDX-License-Identifier: LGPL-2.1-or-later
// An HTTP server, or clients of it: node_talk.js serve PORT | visit ADDRESS PORT CLIENTS
'use strict';
const http = require('http');
const [mode, ...rest] = process.argv.slice(2);

if (mode === 'serve') {
	const server = http.createServer((request, response) => {
		const parts = [];
		request.on('data', (part) => parts.push(part));
		request.on('end', () => {
			const body = Buffer.concat(parts);
			response.setHeader('X-Family', request.socket.remoteFamily);
			response.setHeader('X-Port', request.socket.remotePort);
			response.end(body.reverse());
		});
	});
	server.listen(Number(rest[0]), () => console.log(`listening, port right: ${server.address().port === Number(rest[0])}`));
} else {
	const [address, port, clients] = [rest[0], Number(rest[1]), Number(rest[2])];
	const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
	const visit = (i) => new Promise((resolve, reject) => {
		const body = Buffer.alloc(1000 + i * 37, String(i));
		body[0] = 65;
		const request = http.request({ host: address, port, method: 'POST', agent }, (response) => {
			const parts = [];
			response.on('data', (part) => parts.push(part));
			response.on('end', () => {
				const answer = Buffer.concat(parts).reverse();
				const same = Number(response.headers['x-port']) === response.req.socket.localPort ||
					response.req.socket.localPort === undefined;
				resolve(answer.equals(body) && same ? 1 : 0);
			});
		});
		request.on('error', reject);
		request.end(body);
	});
	Promise.all(Array.from({ length: clients }, (_, i) => visit(i))).then((good) => {
		console.log(`good answers: ${good.reduce((a, b) => a + b, 0)}`);
		process.exit(0);
	}, (error) => {
		console.log(`error: ${error.message}`);
		process.exit(1);
	});
}
