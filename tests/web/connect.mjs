// A client of the service by the Connect protocol, from the compiled contract alone: node connect.mjs URL CONTRACT FORMAT MODEL
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary, toJson } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";

const [baseUrl, contract, format, modelId] = process.argv.slice(2);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(contract)));
const service = registry.getService("tallymark.v1.ModelRegistry");
const info = registry.getMessage("google.rpc.ErrorInfo");
const models = createClient(service, createConnectTransport({ baseUrl, useBinaryFormat: format === "PROTO" }));

const plain = (method, message) => toJson(service.method[method].output, message, { registry });
const parent = "projects/default";
const told = {};
told.model = plain("createModel", await models.createModel({ parent, modelId }));
told.first = plain("createModelVersion", await models.createModelVersion({ parent: `${parent}/models/${modelId}` }));
told.listed = plain("listModelVersions", await models.listModelVersions({ parent: `${parent}/models/${modelId}` }));
try {
  await models.getModelVersion({ name: `${parent}/models/${modelId}/versions/9` });
} catch (error) {
  const failure = ConnectError.from(error);
  const reasons = info ? failure.findDetails(info).map(({ reason }) => reason) : failure.details.map(({ type }) => type);
  told.refused = { code: failure.code, message: failure.rawMessage, details: reasons };
}
console.log(JSON.stringify(told));
