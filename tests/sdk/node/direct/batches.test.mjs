// The SDK fetches a batch's results from the absolute URL that the batch names, not from its base.

import assert from "node:assert/strict";
import { test } from "node:test";

import { all, anthropic } from "../clients.mjs";

test("a batch's results are fetched", async () => {
  const messages = [{ role: "user", content: "Hello" }];
  const params = { model: "claude-sonnet-5-5", max_tokens: 50, messages };
  const batch = await anthropic.messages.batches.create({
    requests: [{ custom_id: "a", params }],
  });
  await anthropic.messages.batches.retrieve(batch.id);
  const results = await all(await anthropic.messages.batches.results(batch.id));
  assert.equal(results[0].result.message.content[0].text, "You said: Hello");
});
