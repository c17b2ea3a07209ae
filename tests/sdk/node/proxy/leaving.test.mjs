// Clients that leave, or give up: the provider's answer ends with them.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

import { abandoned, all, anthropic, gemini, metric, openai, until, withFaults } from "../clients.mjs";

const messages = [{ role: "user", content: "sim:tokens=400" }];
const cancelled = () => metric("keyweir_requests_total", "outcome", "cancelled");

// Does something after which proxy and provider must have noticed that the client left.
async function leaving(provider, work) {
  const [atProxy, atProvider] = [await cancelled(), await abandoned()];
  await withFaults(provider, { kind: "stallStream", after: 6 }, work);
  await until(async () => (await cancelled()) > atProxy);
  await until(async () => (await abandoned()) > atProvider);
}

test("an OpenAI stream that is left", async () => {
  await leaving("openai", async () => {
    const stream = await openai.chat.completions.create({ model: "gpt-4o", messages, stream: true });
    for await (const chunk of stream) {
      assert.ok(chunk.choices);
      break;
    }
  });
});

test("an Anthropic stream that is aborted", async () => {
  await leaving("anthropic", async () => {
    const model = "claude-sonnet-5-5";
    const stream = anthropic.messages.stream({ model, max_tokens: 500, messages });
    await new Promise((resolve) => stream.once("text", resolve));
    stream.abort();
    await assert.rejects(stream.done());
  });
});

test("a Gemini stream that is aborted", async () => {
  await leaving("gemini", async () => {
    const abort = new AbortController();
    const stream = await gemini.models.generateContentStream({
      model: "gemini-2.5-flash",
      contents: "sim:tokens=400",
      config: { abortSignal: abort.signal },
    });
    assert.ok((await stream.next()).value);
    abort.abort();
    await assert.rejects(all(stream), { name: "AbortError" });
  });
});

test("a client that gives up before the answer", async () => {
  const before = await cancelled();
  await withFaults("openai", { kind: "stallHeaders" }, () =>
    assert.rejects(
      openai.chat.completions.create({ model: "gpt-4o-slow", messages }, { timeout: 500 }),
      OpenAI.APIConnectionTimeoutError,
    ),
  );
  await until(async () => (await cancelled()) > before);
});
