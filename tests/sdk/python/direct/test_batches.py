"""The SDK fetches a batch's results from the absolute URL that the batch names, not from its base."""


def test_a_batchs_results_are_fetched(anthropic_client):
    messages = [{"role": "user", "content": "Hello"}]
    params = {"model": "claude-sonnet-5-5", "max_tokens": 50, "messages": messages}
    batch = anthropic_client.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
    anthropic_client.messages.batches.retrieve(batch.id)
    results = list(anthropic_client.messages.batches.results(batch.id))
    assert results[0].custom_id == "a"
    assert results[0].result.message.content[0].text == "You said: Hello"
