import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

import { all, openai } from "../clients.mjs";

const messages = [{ role: "user", content: "Hello" }];
const weather = {
  name: "get_weather",
  parameters: { type: "object", properties: { city: { type: "string" } } },
};

for (const model of ["anthropic/claude-sonnet-5-5", "gemini/gemini-2.5-flash"]) {
  test(`a chat completion of ${model}`, async () => {
    const answer = await openai.chat.completions.create({ model, messages });
    assert.equal(answer.choices[0].message.content, "You said: Hello");
    assert.equal(answer.usage.completion_tokens, 4);
    assert.ok(answer._request_id);
  });

  test(`a chat stream of ${model}`, async () => {
    const chunks = await all(
      await openai.chat.completions.create({
        model,
        messages,
        stream: true,
        stream_options: { include_usage: true },
      }),
    );
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
    assert.equal(text, "You said: Hello");
    assert.equal(chunks.at(-1).usage.completion_tokens, 4);
  });

  test(`a tool of ${model} is run by the helper`, async () => {
    const runner = openai.chat.completions.runTools({
      model,
      stream: true,
      messages: [{ role: "user", content: "Oslo" }],
      tools: [
        {
          type: "function",
          function: { ...weather, parse: JSON.parse, function: ({ city }) => `rain in ${city}` },
        },
      ],
    });
    assert.match(await runner.finalContent(), /rain in Oslo/);
  });

  test(`a field that ${model} cannot be told is refused by name`, async () => {
    const asked = openai.chat.completions.create({ model, messages, logit_bias: { 50256: -100 } });
    await assert.rejects(asked, (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      return error.message.includes("logit_bias");
    });
  });
}
