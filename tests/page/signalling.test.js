// Requests to a server: where they go, what they carry, and what becomes of each refusal.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { base64url, Server, ServerError, splitToken } from "../../static/js/signalling.js";

const real = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = real;
});

test("a token is taken out of an address, a look beside it stays", () => {
  assert.deepEqual(splitToken("#token=a%2Bb"), { token: "a+b", rest: "" });
  assert.deepEqual(splitToken("#prompt=fox&token=t&s=0.5"), { token: "t", rest: "#prompt=fox&s=0.5" });
  for (const none of ["", "#", "#token="]) assert.deepEqual(splitToken(none), { token: "", rest: "" });
});

/** The requests made, each answered by `response`. */
function answering(response) {
  const asked = [];
  globalThis.fetch = async (url, init) => {
    asked.push({ url: url.href, token: init.headers.get("Authorization") });
    return response();
  };
  return asked;
}

async function refusal(response) {
  answering(() => response);
  const error = await new Server(new URL("http://pc:8000/")).call("offer").catch((e) => e);
  assert.ok(error instanceof ServerError);
  return error;
}

test("addresses are those of the server, also under a path", async () => {
  const asked = answering(() => Response.json({ models: [] }));
  await new Server(new URL("https://pc/painter/")).getModels();
  assert.deepEqual(asked, [{ url: "https://pc/painter/api/models", token: null }]);
});

test("a token goes with every request, and as a subprotocol of the socket", async () => {
  const asked = answering(() => Response.json({ models: [] }));
  const server = new Server(new URL("https://pc/painter/"));
  assert.deepEqual(server.socket("me"), ["wss://pc/painter/ws?client_id=me", []]);
  server.token = "a+b";
  await server.getModels();
  assert.equal(asked[0].token, "Bearer a+b");
  assert.deepEqual(server.socket("me")[1], ["live-diffusion", "bearer.YSti"]);
});

test("the token's base64 is safe for a header: RFC 4648 section 5, no padding", () => {
  assert.equal(base64url("\u00ff\u00fe?>"), Buffer.from("\u00ff\u00fe?>").toString("base64url"));
});

test("a refusal keeps the server's words, and when to come back", async () => {
  const body = { code: "capacity", detail: "All places are taken.", fix: "Wait.", retryable: true };
  const { problem, retryInMs } = await refusal(
    Response.json(body, { status: 503, headers: { "Retry-After": "2" } }),
  );
  assert.deepEqual([problem.code, problem.message, problem.retryable], ["capacity", body.detail, true]);
  assert.equal(retryInMs, 2000);
});

test("what a proxy says is understood as far as it goes", async () => {
  assert.equal((await refusal(new Response("<h1>Bad gateway", { status: 502 }))).problem.retryable, true);
  assert.equal((await refusal(new Response("no", { status: 401 }))).problem.code, "unauthorized");
  assert.equal((await refusal(new Response("no", { status: 404 }))).problem.code, "not_found");
});

test("a server that is not there is named", async () => {
  globalThis.fetch = async () => {
    throw new TypeError("fetch failed");
  };
  const { problem } = await new Server(new URL("http://pc:8000/x/")).getModels().catch((e) => e);
  assert.deepEqual([problem.code, problem.retryable], ["unreachable", true]);
  assert.match(problem.message, /http:\/\/pc:8000 /);
});
