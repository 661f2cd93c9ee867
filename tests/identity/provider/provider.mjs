// An OpenID provider of its own process: `node provider.mjs CALLBACK`. It prints its issuer. Whoever signs in as `lead`
// is in the group ml-leads, anybody else in ml.
import * as http from "node:http";
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const callback = process.argv[2];
const server = http.createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });

const provider = new Provider(issuer, {
  clients: [
    { client_id: "dashboard", client_secret: "s3cret", redirect_uris: [callback], grant_types: ["authorization_code"] },
    {
      client_id: "cli", token_endpoint_auth_method: "none", redirect_uris: [], response_types: [],
      grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"], application_type: "native",
    },
    {
      client_id: "robot", client_secret: "b33p", redirect_uris: [], response_types: [],
      grant_types: ["client_credentials"],
    },
  ],
  jwks: { keys: [{ ...key, kid: "first", use: "sig", alg: "RS256" }] },
  cookies: { keys: ["for tests"] },
  pkce: { required: () => true },
  claims: { openid: ["sub"], profile: ["groups"], email: ["email", "email_verified"] },
  // Claims are in the token itself, as many providers have it.
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, groups: [id === "lead" ? "ml-leads" : "ml"], email: `${id}@example.com`, email_verified: true }),
  }),
  features: {
    deviceFlow: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => [],
      useGrantedResource: () => true,
      getResourceServerInfo: (_, audience) => ({
        scope: "registry", audience, accessTokenFormat: "jwt", accessTokenTTL: 300, jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
});
server.on("request", provider.callback());
console.log(issuer);
