// The official clients of Connect in Node.js: node client.mjs KIND HTTP-URL GRPC-ADDRESS PROJECT
// Prints as JSON what the service answered.

import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import * as web from "@connectrpc/connect-web";
import { compressionGzip } from "@connectrpc/connect-node";
import { scenario } from "./scenario.mjs";

const [kind, baseUrl, address, parent] = process.argv.slice(2);
const http = { baseUrl, httpVersion: "1.1" };
const gzip = { acceptCompression: [compressionGzip], sendCompression: compressionGzip, compressMinBytes: 0 };
const transports = {
  "node": () => createConnectTransport(http),
  "node-json-get": () => createConnectTransport({ ...http, useBinaryFormat: false, useHttpGet: true }),
  "node-gzip": () => createConnectTransport({ ...http, ...gzip }),
  "node-grpc": () => createGrpcTransport({ baseUrl: `http://${address}` }),
  "web": () => web.createConnectTransport({ baseUrl, useBinaryFormat: true, useHttpGet: true }),
  "web-json": () => web.createConnectTransport({ baseUrl }),
  "web-grpc": () => web.createGrpcWebTransport({ baseUrl }),
};
console.log(JSON.stringify(await scenario(transports[kind](), parent)));
process.exit(0);
