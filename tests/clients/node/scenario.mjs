// What a client does with the service, over any transport of Connect: in Node.js and in browsers.

import { ConnectError, createClient } from "@connectrpc/connect";
import { ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { EventLog } from "./gen/tallymark/v1/event_log_pb.js";
import { Stage } from "./gen/tallymark/v1/model_pb.js";
import { ModelRegistry } from "./gen/tallymark/v1/model_registry_pb.js";

const options = { headers: { "tallymark-actor": encodeURIComponent("Zoë Ørsted") }, timeoutMs: 60_000 };

async function failure(call) {
  return call.then(() => { throw new Error("was not refused"); }, (error) => ConnectError.from(error));
}

async function sha256(parts) {
  const digest = await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function scenario(transport, parent) {
  const models = createClient(ModelRegistry, transport);
  const log = createClient(EventLog, transport);
  const model = `${parent}/models/churn`;

  async function watched(request, count) {
    const ending = new AbortController();
    const events = [];
    try {
      for await (const message of log.watch(request, { ...options, signal: ending.signal })) {
        // The first message may have no events.
        events.push(...message.events);
        if (events.length >= count) {
          return { revisions: events.slice(0, count).map(({ revision }) => Number(revision)), logId: message.logId };
        }
      }
    } finally {
      ending.abort();
    }
  }

  await models.createModel({ parent, modelId: "churn", model: { description: "x".repeat(20_000) } }, options);
  const first = await models.createModelVersion({ parent: model }, options);
  await models.createModelVersion({ parent: model }, options);
  await models.setStage({ name: `${model}/versions/2`, stage: Stage.PRODUCTION }, options);
  const production = await models.getModelVersion({ name: `${model}/versions/@production` }, options);

  const before = await watched({ parent, afterRevision: 0n }, 3);
  const cursor = { afterRevision: BigInt(before.revisions.at(-1)), logId: before.logId };
  const after = await watched({ parent, ...cursor }, 1);

  const refused = await failure(models.getModelVersion({ name: `${model}/versions/9` }, options));
  const [info] = refused.findDetails(ErrorInfoSchema);
  const late = await failure((async () => {
    for await (const _ of log.watch({ parent }, { ...options, timeoutMs: 1000 }));
  })());

  const lines = [];
  for await (const message of log.export({ parent }, options)) {
    lines.push(message.lines);
  }
  return {
    first: { number: first.number, creator: first.creator },
    production: production.number,
    watched: before.revisions,
    resumed: after.revisions,
    refused: { code: refused.code, reason: info.reason, domain: info.domain, metadata: info.metadata },
    late: late.code,
    exported: await sha256(lines),
  };
}
