import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "@google/genai";

import { all, gemini, withFault } from "../clients.mjs";

const model = "gemini-2.5-flash";
const tools = [
  {
    functionDeclarations: [
      {
        name: "get_weather",
        parameters: { type: "OBJECT", properties: { city: { type: "STRING" } } },
      },
    ],
  },
];

test("content is generated", async () => {
  const answer = await gemini.models.generateContent({ model, contents: "Hello" });
  assert.equal(answer.text, "You said: Hello");
  assert.equal(answer.usageMetadata.candidatesTokenCount, 4);
});

test("content is streamed", async () => {
  const chunks = await all(
    await gemini.models.generateContentStream({ model, contents: "sim:tokens=40" }),
  );
  assert.equal(chunks.map((chunk) => chunk.text).join("").length, 160);
  assert.equal(chunks.at(-1).candidates[0].finishReason, "STOP");
});

test("a tool is called and answered", async () => {
  const chat = gemini.chats.create({ model, config: { tools } });
  const asked = await chat.sendMessage({ message: "Oslo" });
  const [called] = asked.functionCalls;
  assert.deepEqual([called.name, called.args], ["get_weather", { city: "Oslo" }]);
  const response = { name: called.name, id: called.id, response: { sky: "rain" } };
  const answered = await chat.sendMessage({ message: [{ functionResponse: response }] });
  assert.equal(answered.text, 'The tool said: {"sky":"rain"}');
});

test("thoughts are shown", async () => {
  const config = { thinkingConfig: { includeThoughts: true } };
  const answer = await gemini.models.generateContent({ model, contents: "Hello", config });
  assert.ok(answer.candidates[0].content.parts[0].thought);
  assert.equal(answer.usageMetadata.thoughtsTokenCount, 16);
});

test("embeddings, token counts and models", async () => {
  const embedded = await gemini.models.embedContent({
    model: "gemini-embedding-001",
    contents: ["one", "two"],
  });
  assert.equal(embedded.embeddings.length, 2);
  const counted = await gemini.models.countTokens({ model, contents: "Hello, world" });
  assert.ok(counted.totalTokens > 0);
  const models = await all(await gemini.models.list());
  assert.ok(models.some((found) => found.name === `models/${model}`));
});

test("a file is uploaded, used and deleted", async () => {
  const content = new Blob(["0123456789abcdef".repeat(600 * 1024)], { type: "text/plain" });
  const file = await gemini.files.upload({ file: content, config: { displayName: "notes" } });
  assert.deepEqual([file.sizeBytes, file.displayName], [String(content.size), "notes"]);
  const part = { fileData: { fileUri: file.uri, mimeType: file.mimeType } };
  const answer = await gemini.models.generateContent({ model, contents: [part, "Hello"] });
  assert.equal(answer.text, "You said: Hello");
  await gemini.files.delete({ name: file.name });
  await assert.rejects(gemini.files.get({ name: file.name }), ApiError);
});

test("cached content is used", async () => {
  const cache = await gemini.caches.create({
    model,
    config: { contents: "remember this ".repeat(1000), ttl: "600s" },
  });
  const config = { cachedContent: cache.name };
  const answer = await gemini.models.generateContent({ model, contents: "Hello", config });
  assert.ok(answer.usageMetadata.cachedContentTokenCount > 3000);
  await gemini.caches.delete({ name: cache.name });
});

test("errors of the request are the caller's", async () => {
  const unknown = { model: "gemini-9", contents: "Hello" };
  await assert.rejects(
    gemini.models.generateContent(unknown),
    (error) => error instanceof ApiError && error.status === 404,
  );
  const odd = { model, contents: [{ role: "robot", parts: [{ text: "Hello" }] }] };
  await assert.rejects(
    gemini.models.generateContent(odd),
    (error) => error instanceof ApiError && error.status === 400,
  );
});

test("an error in a stream is raised, and a cut stream looks cut", async () => {
  const path = ":streamGenerateContent";
  const ask = async () =>
    all(await gemini.models.generateContentStream({ model, contents: "sim:tokens=40" }));
  await withFault({ kind: "errorEvent", after: 3, path }, () => assert.rejects(ask(), ApiError));
  for (const inside of [false, true]) {
    await withFault({ kind: "cutStream", after: 3, inside, path }, () => assert.rejects(ask()));
  }
});
