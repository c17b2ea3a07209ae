// What the providers refuse, as the SDKs raise it: a proxy is there to absorb these.

import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { ApiError } from "@google/genai";
import OpenAI from "openai";

import { anthropic, gemini, openai, took, withFault } from "../clients.mjs";

const messages = [{ role: "user", content: "Hello" }];
const chat = (client) => client.chat.completions.create({ model: "gpt-4o", messages });
const message = (client) =>
  client.messages.create({ model: "claude-sonnet-5-5", max_tokens: 50, messages });
const generate = () => gemini.models.generateContent({ model: "gemini-2.5-flash", contents: "Hi" });

test("a wrong key is refused", async () => {
  await assert.rejects(
    chat(openai.withOptions({ apiKey: "sk-wrong-wrong-wrong" })),
    (error) => error instanceof OpenAI.AuthenticationError && error.code === "invalid_api_key",
  );
  await assert.rejects(
    message(anthropic.withOptions({ apiKey: "sk-ant-wrong" })),
    Anthropic.AuthenticationError,
  );
  await withFault({ kind: "deadKey", account: "gemini" }, () =>
    assert.rejects(generate(), (error) => error instanceof ApiError && error.status === 400),
  );
});

test("what is exhausted is named", async () => {
  await withFault({ kind: "creditGone", account: "openai" }, () =>
    assert.rejects(chat(openai), (error) => error.code === "credit_balance_exhausted"),
  );
  await withFault({ kind: "spendCap", account: "anthropic" }, () =>
    assert.rejects(message(anthropic), (error) => {
      assert.ok(error instanceof Anthropic.RateLimitError);
      assert.equal(error.headers.get("retry-after"), null);
      return true;
    }),
  );
});

test("the SDKs wait as long as they are told", async () => {
  const fault = { kind: "rateLimited", retryAfterMs: 1500, times: 1 };
  await withFault({ ...fault, account: "openai" }, async () => {
    const millis = await took(() => chat(openai.withOptions({ maxRetries: 2 })));
    assert.ok(millis > 1400 && millis < 4000, `${millis} ms`);
  });
  await withFault({ ...fault, account: "anthropic" }, async () => {
    const millis = await took(() => message(anthropic.withOptions({ maxRetries: 2 })));
    assert.ok(millis > 1900 && millis < 5000, `${millis} ms`);
  });
  await withFault({ ...fault, account: "gemini" }, () =>
    assert.rejects(generate(), (error) => error.status === 429 && /1\.5s/.test(error.message)),
  );
});

test("overload and forbidden models", async () => {
  await withFault({ kind: "outage", status: 529, account: "anthropic" }, () =>
    assert.rejects(message(anthropic), (error) => error.status === 529),
  );
  await withFault({ kind: "outage", status: 503, account: "gemini" }, () =>
    assert.rejects(generate(), (error) => error.status === 503),
  );
  await withFault({ kind: "forbiddenModel", account: "openai" }, () =>
    assert.rejects(chat(openai), OpenAI.PermissionDeniedError),
  );
});
