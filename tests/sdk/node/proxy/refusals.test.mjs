// What the proxy itself refuses: the error that each SDK makes of it, and what it then does.

import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { ApiError } from "@google/genai";
import OpenAI from "openai";

import {
  anthropic,
  gemini,
  metric,
  openai,
  refused,
  through,
  took,
  whileLimited,
  withFault,
} from "../clients.mjs";

const messages = [{ role: "user", content: "Hello" }];
const atOnce = { "x-keyweir-max-wait": "0s" };

const chat = (client, wish, options) =>
  client.chat.completions.create({ model: "gpt-4o", messages, ...wish }, options);
const message = (client, wish, options) =>
  client.messages.create(
    { model: "claude-sonnet-5-5", max_tokens: 50, messages, ...wish },
    options,
  );
const generate = (client, model = "gemini-2.5-flash") =>
  client.models.generateContent({ model, contents: "Hello" });

// The code in Anthropic's and in Gemini's format, which begins the message.
const codeOf = (error) =>
  (error.error?.error?.message ?? JSON.parse(error.message).error.message).split(": ")[0];
const refusals = () => metric("keyweir_refusals_total", "code", "keys_temporarily_exhausted");

function assertGoneForLong(headers) {
  assert.equal(headers.get("x-should-retry"), "false");
  assert.equal(headers.get("retry-after") ?? headers.get("retry-after-ms"), null);
  assert.ok(new Date(headers.get("x-keyweir-retry-at")) - Date.now() > 60_000);
}

for (const maxRetries of [2, 10]) {
  test(`nobody sleeps where capacity is gone for long, with ${maxRetries} retries`, async () => {
    for (const [work, expected] of [
      [() => chat(through.openai("openai-spent", { maxRetries })), OpenAI.RateLimitError],
      [
        () => message(through.anthropic("anthropic-spent", { maxRetries })),
        Anthropic.RateLimitError,
      ],
    ]) {
      const before = await refusals();
      const { millis, error } = await refused(work, expected);
      assert.ok(millis < 5000, `${millis} ms`);
      assert.equal(error.code ?? codeOf(error), "keys_temporarily_exhausted");
      assertGoneForLong(error.headers);
      assert.equal((await refusals()) - before, 1, "the SDK did not ask again");
    }
  });
}

test("nobody sleeps where Gemini's capacity is gone for long", async () => {
  const { millis, error } = await refused(() => generate(through.gemini("gemini-spent")), ApiError);
  assert.ok(millis < 5000, `${millis} ms`);
  assert.deepEqual([error.status, codeOf(error)], [429, "keys_temporarily_exhausted"]);
});

test("the SDKs come back when they are told", async () => {
  await whileLimited("openai", "gpt-4o-obeys", 2500, async () => {
    const client = through.openai("openai", { maxRetries: 2 });
    const millis = await took(() => chat(client, { model: "gpt-4o-obeys" }, { headers: atOnce }));
    assert.ok(millis > 2300 && millis < 10_000, `${millis} ms`);
  });
  const model = "claude-sonnet-5-5-obeys";
  await whileLimited("anthropic", model, 3000, async () => {
    const client = through.anthropic("anthropic", { maxRetries: 2 });
    const millis = await took(() => message(client, { model }, { headers: atOnce }));
    assert.ok(millis > 2800 && millis < 10_000, `${millis} ms`);
  });
});

test("a client that says how long it waits is told within that time", async () => {
  const timeout = 3000;
  await whileLimited("openai", "gpt-4o-impatient", 20_000, async () => {
    const ask = () => chat(openai, { model: "gpt-4o-impatient" }, { timeout });
    const { millis, error } = await refused(ask, OpenAI.RateLimitError);
    assert.ok(millis < timeout, `${millis} ms`);
    const [seconds, exactly] = ["retry-after", "retry-after-ms"].map((name) =>
      Number(error.headers.get(name)),
    );
    assert.ok(exactly > 10_000 && exactly <= 21_000, `${exactly} ms`);
    assert.equal(seconds, Math.ceil(exactly / 1000));
  });
  const model = "claude-sonnet-5-5-impatient";
  await whileLimited("anthropic", model, 20_000, async () => {
    const ask = () => message(anthropic, { model }, { timeout });
    const { millis } = await refused(ask, Anthropic.RateLimitError);
    assert.ok(millis < timeout, `${millis} ms`);
  });
  await whileLimited("gemini", "gemini-2.5-flash-impatient", 20_000, async () => {
    const ask = () => generate(through.gemini("gemini", { timeout }), "gemini-2.5-flash-impatient");
    const { millis, error } = await refused(ask, ApiError);
    assert.ok(millis < timeout, `${millis} ms`);
    assert.deepEqual([error.status, codeOf(error)], [429, "keys_temporarily_exhausted"]);
  });
});

for (const [pool, code] of [
  ["dead", "keys_invalid"],
  ["down", "providers_unavailable"],
]) {
  test(`503: ${code}`, async () => {
    const options = { maxRetries: 0, defaultHeaders: atOnce };
    const asked = await refused(
      () => chat(through.openai(`openai-${pool}`, options)),
      OpenAI.InternalServerError,
    );
    assert.deepEqual([asked.error.status, asked.error.code], [503, code]);
    const sent = await refused(
      () => message(through.anthropic(`anthropic-${pool}`, options)),
      Anthropic.InternalServerError,
    );
    assert.deepEqual([sent.error.status, codeOf(sent.error)], [503, code]);
    const client = through.gemini(`gemini-${pool}`, { headers: atOnce });
    const { error } = await refused(() => generate(client), ApiError);
    assert.deepEqual([error.status, codeOf(error)], [503, code]);
  });
}

test("what the caller may not ask for", async () => {
  const options = { headers: { "x-keyweir-caller": "guest" } };
  const asked = await refused(() => chat(openai, {}, options), OpenAI.PermissionDeniedError);
  assert.equal(asked.error.code, "model_not_allowed");
  const sent = await refused(
    () => message(anthropic, {}, options),
    Anthropic.PermissionDeniedError,
  );
  assert.equal(codeOf(sent.error), "model_not_allowed");
  const large = await refused(
    () => chat(through.openai("openai-small"), { max_tokens: 5000 }),
    OpenAI.BadRequestError,
  );
  assert.equal(large.error.code, "request_exceeds_limit");
});

test("a body over the bound", async () => {
  const options = { headers: { "x-keyweir-caller": "small" } };
  const long = { messages: [{ role: "user", content: "long ".repeat(1000) }] };
  const asked = await refused(() => chat(openai, long, options), OpenAI.APIError);
  assert.deepEqual([asked.error.status, asked.error.code], [413, "body_too_large"]);
  const sent = await refused(() => message(anthropic, long, options), Anthropic.APIError);
  assert.deepEqual([sent.error.status, codeOf(sent.error)], [413, "body_too_large"]);
});

test("paths that lead nowhere", async () => {
  const asked = await refused(() => chat(through.openai("nobody")), OpenAI.NotFoundError);
  assert.equal(asked.error.code, "unknown_provider");
  const sent = await refused(() => message(through.anthropic("nobody")), Anthropic.NotFoundError);
  assert.equal(codeOf(sent.error), "unknown_provider");
  const { error } = await refused(() => generate(through.gemini("nobody")), ApiError);
  assert.deepEqual([error.status, codeOf(error)], [404, "unknown_provider"]);
});

test("an overloaded provider speaks for itself, and nobody sleeps because it says so", async () => {
  const model = "claude-sonnet-5-5-overloaded";
  await withFault({ kind: "outage", status: 529, model }, async () => {
    const ask = () => message(anthropic, { model }, { headers: atOnce });
    const { error } = await refused(ask, Anthropic.InternalServerError);
    assert.equal(error.status, 529);
  });
  await withFault({ kind: "outage", status: 503, model: "gemini-2.5-flash-overloaded" }, async () => {
    const client = through.gemini("gemini", { headers: atOnce });
    const { error } = await refused(() => generate(client, "gemini-2.5-flash-overloaded"), ApiError);
    assert.deepEqual([error.status, JSON.parse(error.message).error.status], [503, "UNAVAILABLE"]);
  });
  const answer = { kind: "answer", status: 503, body: "{}", headers: [["retry-after", "7200"]] };
  await withFault({ ...answer, model: "claude-sonnet-5-5-long" }, async () => {
    const client = through.anthropic("anthropic", { maxRetries: 2 });
    const ask = () => message(client, { model: "claude-sonnet-5-5-long" }, { headers: atOnce });
    const { millis, error } = await refused(ask, Anthropic.InternalServerError);
    assert.ok(millis < 20_000, `${millis} ms`);
    assert.equal(error.headers.get("x-should-retry"), "false");
  });
});
