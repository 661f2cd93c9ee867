// The same in a browser: a page has `call(kind, url, project)`.

import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { scenario } from "./scenario.mjs";

const transports = {
  connect: (baseUrl) => createConnectTransport({ baseUrl, useHttpGet: true }),
  "grpc-web": (baseUrl) => createGrpcWebTransport({ baseUrl }),
};
globalThis.call = (kind, baseUrl, parent) => scenario(transports[kind](baseUrl), parent);
