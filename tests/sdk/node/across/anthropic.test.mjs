import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";

import { anthropic } from "../clients.mjs";

const messages = [{ role: "user", content: "Hello" }];
const weather = {
  name: "get_weather",
  input_schema: { type: "object", properties: { city: { type: "string" } } },
};

for (const model of ["openai/gpt-4o", "gemini/gemini-2.5-flash"]) {
  test(`a message of ${model}`, async () => {
    const message = await anthropic.messages.create({ model, max_tokens: 100, messages });
    assert.equal(message.content[0].text, "You said: Hello");
    assert.equal(message.stop_reason, "end_turn");
  });

  test(`a stream of ${model} with tools`, async () => {
    const asked = { role: "user", content: "sim:calls=2" };
    const stream = anthropic.messages.stream({
      model,
      max_tokens: 500,
      messages: [asked],
      tools: [weather],
    });
    const message = await stream.finalMessage();
    assert.equal(message.stop_reason, "tool_use");
    const calls = message.content.filter((block) => block.type === "tool_use");
    assert.deepEqual(
      calls.map((call) => call.input),
      [{ city: "sim:calls=2" }, { city: "sim:calls=2" }],
    );
    const results = calls.map(({ id }) => ({
      type: "tool_result",
      tool_use_id: id,
      content: "rain",
    }));
    const answered = await anthropic.messages.create({
      model,
      max_tokens: 500,
      tools: [weather],
      messages: [
        asked,
        { role: "assistant", content: message.content },
        { role: "user", content: results },
      ],
    });
    assert.match(answered.content.at(-1).text, /rain/);
  });

  test(`an unknown model like ${model} is not found`, async () => {
    const asked = anthropic.messages.create({ model: `${model}-not-anthropic`, max_tokens: 9, messages });
    await assert.rejects(asked, Anthropic.NotFoundError);
  });
}
