// A client in JavaScript from the contract alone: node client.mjs HOST:PORT PROTOS
// Prints as JSON what the service answered.

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import protobuf from "protobufjs";

const [address, protos] = process.argv.slice(2);
const parent = "projects/default";
const model = `${parent}/models/churn`;

// The errors of every gRPC service are these messages of Google's: https://google.aip.dev/193
const rpc = protobuf.parse(`
  syntax = "proto3";
  package google.rpc;
  import "google/protobuf/any.proto";
  message Status { int32 code = 1; string message = 2; repeated google.protobuf.Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
`, new protobuf.Root().addJSON(protobuf.common.get("google/protobuf/any.proto").nested)).root;

const definition = loader.loadSync(["model_registry.proto", "event_log.proto"].map((file) => `tallymark/v1/${file}`), {
  includeDirs: [protos], keepCase: true, defaults: true, enums: String, longs: Number, oneofs: true,
});
const { ModelRegistry, EventLog } = grpc.loadPackageDefinition(definition).tallymark.v1;
const models = new ModelRegistry(address, grpc.credentials.createInsecure());
const log = new EventLog(address, grpc.credentials.createInsecure());

function call(method, request) {
  return new Promise((resolve, reject) => {
    const done = (error, reply) => (error ? reject(error) : resolve(reply));
    models[method](request, { deadline: Date.now() + 30_000 }, done);
  });
}

function create(requestId, fields) {
  return call("CreateModelVersion", { parent: model, request_id: requestId, model_version: fields });
}

function get(reference) {
  return call("GetModelVersion", { name: `${model}/versions/${reference}` });
}

async function refusal(request) {
  const error = await request.then(() => { throw new Error("was not refused"); }, (refused) => refused);
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  const status = rpc.lookupType("google.rpc.Status").decode(bytes);
  const { reason, domain, metadata } = rpc.lookupType("google.rpc.ErrorInfo").decode(status.details[0].value);
  return { code: grpc.status[error.code], reason, domain, metadata };
}

// Another stream goes on after the revision that the last one came to.
async function resumed(revision, logId) {
  const stream = log.Watch({ parent, after_revision: revision, log_id: logId }, { deadline: Date.now() + 30_000 });
  try {
    for await (const { events } of stream) {
      // The first message may have no events.
      if (events.length > 0) {
        return events[0].revision;
      }
    }
  } finally {
    stream.cancel();
  }
}

// With the time that is given, a watch ends.
async function late() {
  try {
    for await (const _ of log.Watch({ parent }, { deadline: Date.now() + 1000 }));
  } catch (error) {
    return grpc.status[error.code];
  }
}

// The first message of a watch from now on says where it begins: what is changed after it is told.
async function watched(change) {
  const stream = log.Watch({ parent }, { deadline: Date.now() + 30_000 });
  try {
    for await (const { events, log_id: logId } of stream) {
      if (events.length > 0) {
        return { ...events[0], resumed: await resumed(events[0].revision - 1, logId) };
      }
      await change();
    }
  } finally {
    stream.cancel();
  }
}

const told = {
  model: await call("CreateModel", { parent, model_id: "churn", request_id: "model", model: { tags: ["js"] } }),
  first: await create("first", { description: "numbered alone", metadata: { auc: { number: 0.93 } } }),
  repeated: await create("first", { description: "numbered alone", metadata: { auc: { number: 0.93 } } }),
  named: await create("named", { version_name: "1.0.5" }),
  byNumber: await get(1),
  byName: await get("=1.0.5"),
  listed: await call("ListModelVersions", { parent: model }),
  refused: await refusal(get(9)),
  late: await late(),
  event: await watched(() => call("SetStage", { name: `${model}/versions/2`, stage: "STAGE_PRODUCTION" })),
};
models.close();
log.close();
console.log(JSON.stringify(told));
