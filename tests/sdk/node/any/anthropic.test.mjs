import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic, { toFile } from "@anthropic-ai/sdk";

import { all, anthropic, withFault } from "../clients.mjs";

const model = "claude-sonnet-5-5";
const messages = [{ role: "user", content: "Hello" }];
const long = [{ role: "user", content: "sim:tokens=40" }];
const weather = {
  name: "get_weather",
  input_schema: { type: "object", properties: { city: { type: "string" } } },
};

test("a message", async () => {
  const message = await anthropic.messages.create({ model, max_tokens: 50, messages });
  assert.equal(message.content[0].text, "You said: Hello");
  assert.equal(message.stop_reason, "end_turn");
  assert.match(message._request_id, /^req_/);
});

test("a stream of thought and text", async () => {
  const stream = anthropic.messages.stream({
    model,
    max_tokens: 2000,
    messages,
    thinking: { type: "adaptive" },
  });
  const final = await stream.finalMessage();
  assert.deepEqual(final.content.map((block) => block.type), ["thinking", "text"]);
  assert.equal(final.content[1].text, "You said: Hello");
  assert.equal(final.usage.output_tokens, 20);
});

test("a tool is called and answered", async () => {
  const asked = await anthropic.messages
    .stream({
      model,
      max_tokens: 50,
      messages: [{ role: "user", content: "Oslo" }],
      tools: [weather],
    })
    .finalMessage();
  const called = asked.content.at(-1);
  assert.deepEqual([asked.stop_reason, called.input], ["tool_use", { city: "Oslo" }]);
  const answered = await anthropic.messages.create({
    model,
    max_tokens: 50,
    tools: [weather],
    messages: [
      { role: "user", content: "Oslo" },
      { role: "assistant", content: asked.content },
      {
        role: "user",
        content: [{ type: "tool_result", tool_use_id: called.id, content: "rain" }],
      },
    ],
  });
  assert.equal(answered.content[0].text, "The tool said: rain");
});

test("tokens are counted and models listed", async () => {
  const counted = await anthropic.messages.countTokens({ model, messages });
  assert.equal(counted.input_tokens, 3);
  const models = await all(anthropic.models.list());
  assert.ok(models.some((found) => found.id === model));
});

test("a file is uploaded and deleted", async () => {
  const content = await toFile(Buffer.from("some text"), "notes.txt", { type: "text/plain" });
  const file = await anthropic.files.upload({ file: content });
  assert.deepEqual([file.filename, file.size_bytes], ["notes.txt", 9]);
  await anthropic.files.delete(file.id);
  await assert.rejects(anthropic.files.retrieveMetadata(file.id), Anthropic.NotFoundError);
});

test("a batch is begun and ended", async () => {
  const params = { model, max_tokens: 50, messages };
  const batch = await anthropic.messages.batches.create({
    requests: [{ custom_id: "a", params }],
  });
  const done = await anthropic.messages.batches.retrieve(batch.id);
  assert.equal(done.processing_status, "ended");
  // `batches.results` goes to the absolute URL that the batch names; this stays with the base URL.
  const results = await anthropic.get(`/v1/messages/batches/${batch.id}/results`).asResponse();
  const [first] = (await results.text()).split("\n");
  assert.equal(JSON.parse(first).result.message.content[0].text, "You said: Hello");
});

test("errors of the request are the caller's", async () => {
  const unknown = { model: "claude-nine", max_tokens: 5, messages };
  await assert.rejects(anthropic.messages.create(unknown), Anthropic.NotFoundError);
  const odd = { model, max_tokens: 5, messages, temperature: 1 };
  await assert.rejects(anthropic.messages.create(odd), Anthropic.BadRequestError);
});

test("an error event is raised, and a cut stream looks cut", async () => {
  const path = "/v1/messages";
  const ask = () => anthropic.messages.stream({ model, max_tokens: 50, messages: long }).finalMessage();
  await withFault({ kind: "errorEvent", after: 5, path }, () =>
    assert.rejects(ask(), /Overloaded/),
  );
  for (const inside of [false, true]) {
    await withFault({ kind: "cutStream", after: 5, inside, path }, () => assert.rejects(ask()));
  }
});
