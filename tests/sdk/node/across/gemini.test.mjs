import assert from "node:assert/strict";
import { test } from "node:test";

import { all, gemini } from "../clients.mjs";

const weather = {
  name: "get_weather",
  parametersJsonSchema: { type: "object", properties: { city: { type: "string" } } },
};

for (const model of ["openai/gpt-4o", "anthropic/claude-sonnet-5-5"]) {
  test(`content of ${model} is generated`, async () => {
    const answer = await gemini.models.generateContent({ model, contents: "Hello" });
    assert.equal(answer.text, "You said: Hello");
    assert.equal(answer.usageMetadata.candidatesTokenCount, 4);
  });

  test(`content of ${model} is streamed`, async () => {
    const chunks = await all(
      await gemini.models.generateContentStream({ model, contents: "Hello" }),
    );
    assert.equal(chunks.map((chunk) => chunk.text ?? "").join(""), "You said: Hello");
    assert.equal(chunks.at(-1).candidates[0].finishReason, "STOP");
  });

  test(`a function of ${model} is called`, async () => {
    const answer = await gemini.models.generateContent({
      model,
      contents: "Oslo",
      config: { tools: [{ functionDeclarations: [weather] }] },
    });
    assert.deepEqual(answer.functionCalls[0].args, { city: "Oslo" });
  });

  test(`an unknown model like ${model} is not found`, async () => {
    const asked = gemini.models.generateContent({ model: `${model}-not-google`, contents: "Hello" });
    await assert.rejects(asked, (error) => error.status === 404);
  });
}
