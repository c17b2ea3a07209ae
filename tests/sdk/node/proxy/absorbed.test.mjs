// What goes wrong at a provider, and an application behind the proxy does not see.

import assert from "node:assert/strict";
import { test } from "node:test";

import { all, anthropic, gemini, openai, took, whileLimited, withFault } from "../clients.mjs";

const messages = [{ role: "user", content: "Hello" }];

// By provider: its model, and how it is asked; the answer's headers.
const providers = {
  openai: [
    "gpt-4o",
    async (model) => {
      const asked = openai.chat.completions.create({ model, messages });
      return Object.fromEntries((await asked.withResponse()).response.headers);
    },
  ],
  anthropic: [
    "claude-sonnet-5-5",
    async (model) => {
      const asked = anthropic.messages.create({ model, max_tokens: 50, messages });
      return Object.fromEntries((await asked.withResponse()).response.headers);
    },
  ],
  gemini: [
    "gemini-2.5-flash",
    async (model) =>
      (await gemini.models.generateContent({ model, contents: "Hello" })).sdkHttpResponse.headers,
  ],
};

async function keysOf(ask, model, times) {
  const keys = new Set();
  for (let nth = 0; nth < times; nth += 1) keys.add((await ask(model))["x-keyweir-key"]);
  return keys;
}

for (const [provider, [model, ask]] of Object.entries(providers)) {
  test(`${provider}: a dead key is never seen, and who answered is told`, async () => {
    const keys = await keysOf(ask, model, 20);
    assert.ok(!keys.has("dead") && keys.size > 1, [...keys]);
    const headers = await ask(model);
    assert.equal(headers["x-keyweir-provider"], provider);
    assert.equal(headers["x-keyweir-model"], model);
  });

  test(`${provider}: another group serves while one is limited`, async () => {
    const limited = `${model}-limited`;
    const fault = { kind: "rateLimited", account: provider, retryAfterMs: 60_000, model: limited };
    await withFault(fault, async () => {
      assert.deepEqual([...(await keysOf(ask, limited, 10))], ["three"]);
    });
  });

  test(`${provider}: another group serves while one fails`, async () => {
    const failing = `${model}-failing`;
    const fault = { kind: "outage", status: 503, account: provider, model: failing };
    await withFault(fault, async () => {
      assert.deepEqual([...(await keysOf(ask, failing, 10))], ["three"]);
    });
  });

  test(`${provider}: a wait within the deadline is not seen`, async () => {
    const waits = `${model}-waits`;
    await whileLimited(provider, waits, 1500, async () => {
      let headers;
      const millis = await took(async () => {
        headers = await ask(waits);
      });
      assert.ok(millis > 1400 && millis < 10_000, `${millis} ms`);
      assert.ok(Number(headers["x-keyweir-queued-ms"]) >= 1000);
    });
  });
}

test("fifty streams at once", async () => {
  const ask = async (nth) => {
    const stream = await openai.chat.completions.create({
      model: "gpt-4o",
      messages: [{ role: "user", content: String(nth) }],
      stream: true,
    });
    return (await all(stream)).map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  };
  const numbers = [...Array(50).keys()];
  const answers = await Promise.all(numbers.map(ask));
  assert.deepEqual(answers, numbers.map((nth) => `You said: ${nth}`));
});
