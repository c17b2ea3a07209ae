import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI, { toFile } from "openai";

import { all, openai, withFault } from "../clients.mjs";

const messages = [{ role: "user", content: "Hello" }];
const long = [{ role: "user", content: "sim:tokens=40" }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } } },
  },
};

test("a chat completion", async () => {
  const answer = await openai.chat.completions.create({ model: "gpt-4o", messages });
  assert.equal(answer.choices[0].message.content, "You said: Hello");
  assert.equal(answer.usage.completion_tokens, 4);
  assert.ok(answer._request_id);
});

test("a chat stream with usage", async () => {
  const chunks = await all(
    await openai.chat.completions.create({
      model: "gpt-4o",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    }),
  );
  const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
  assert.equal(text, "You said: Hello");
  assert.equal(chunks.at(-1).usage.completion_tokens, 4);
});

test("a chat stream that did not ask has no usage", async () => {
  const chunks = await all(
    await openai.chat.completions.create({ model: "gpt-4o", messages, stream: true }),
  );
  assert.ok(chunks.every((chunk) => chunk.choices.length > 0 && !chunk.usage));
});

test("a tool is run by the helper", async () => {
  const runner = openai.chat.completions.runTools({
    model: "gpt-4o",
    stream: true,
    messages: [{ role: "user", content: "Oslo" }],
    tools: [
      {
        type: "function",
        function: {
          ...weather.function,
          parse: JSON.parse,
          function: ({ city }) => `rain in ${city}`,
        },
      },
    ],
  });
  assert.equal(await runner.finalContent(), "The tool said: rain in Oslo");
});

test("parallel tools stream in fragments", async () => {
  const stream = openai.chat.completions.stream({
    model: "gpt-4o",
    messages: [{ role: "user", content: "sim:calls=2" }],
    tools: [weather],
  });
  const { tool_calls: calls } = (await stream.finalChatCompletion()).choices[0].message;
  assert.deepEqual(calls.map((made) => JSON.parse(made.function.arguments)), [
    { city: "sim:calls=2" },
    { city: "sim:calls=2" },
  ]);
});

test("a structured answer is parsed", async () => {
  const schema = { type: "object", properties: { name: { type: "string" } } };
  const answer = await openai.chat.completions.parse({
    model: "gpt-4o",
    messages,
    response_format: { type: "json_schema", json_schema: { name: "person", schema, strict: true } },
  });
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), { name: "Hello" });
});

test("embeddings", async () => {
  const wish = { model: "text-embedding-3-small", input: ["one", "two"], dimensions: 8 };
  const packed = await openai.embeddings.create(wish);
  const plain = await openai.embeddings.create({ ...wish, encoding_format: "float" });
  assert.equal(packed.data.length, 2);
  assert.deepEqual(
    packed.data[0].embedding.map(Math.fround),
    plain.data[0].embedding.map(Math.fround),
  );
});

test("responses follow each other, streamed or not", async () => {
  const first = await openai.responses.create({ model: "gpt-4o", input: "Hello" });
  assert.equal(first.output_text, "You said: Hello");
  const stream = openai.responses.stream({
    model: "gpt-4o",
    input: "More",
    previous_response_id: first.id,
  });
  const kinds = (await all(stream)).map((event) => event.type);
  assert.equal(kinds[0], "response.created");
  assert.equal(kinds.at(-1), "response.completed");
  assert.equal((await stream.finalResponse()).output_text, "You said: More");
});

test("a file is uploaded, read and deleted", async () => {
  const content = '{"text": "a"}\n'.repeat(50_000);
  const file = await openai.files.create({
    file: await toFile(Buffer.from(content), "lines.jsonl"),
    purpose: "user_data",
  });
  assert.deepEqual([file.filename, file.bytes], ["lines.jsonl", content.length]);
  assert.equal(await (await openai.files.content(file.id)).text(), content);
  assert.ok((await openai.files.delete(file.id)).deleted);
  await assert.rejects(openai.files.retrieve(file.id), OpenAI.NotFoundError);
});

test("speech is written down", async () => {
  const answer = await openai.audio.transcriptions.create({
    model: "whisper-1",
    file: await toFile(Buffer.alloc(1000), "voice.mp3"),
  });
  assert.equal(answer.text, "1000 bytes of voice.mp3");
});

test("models are listed", async () => {
  const models = await all(openai.models.list());
  assert.ok(models.some((model) => model.id === "gpt-4o"));
});

test("errors of the request are the caller's", async () => {
  await assert.rejects(openai.chat.completions.create({ model: "gpt-9", messages }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    return true;
  });
  await assert.rejects(
    openai.chat.completions.create({ model: "gpt-4o", messages, temperature: 3 }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === "temperature",
  );
});

for (const inside of [false, true]) {
  test(`a stream cut ${inside ? "inside" : "between"} events looks cut`, async () => {
    const path = "/v1/chat/completions";
    await withFault({ kind: "cutStream", after: 4, inside, path }, async () => {
      const stream = await openai.chat.completions.create({
        model: "gpt-4o",
        messages: long,
        stream: true,
      });
      await assert.rejects(all(stream));
    });
  });
}

test("an error event is raised", async () => {
  const path = "/v1/chat/completions";
  await withFault({ kind: "errorEvent", after: 4, path }, async () => {
    const stream = await openai.chat.completions.create({
      model: "gpt-4o",
      messages: long,
      stream: true,
    });
    await assert.rejects(all(stream), /The server had an error/);
  });
});
