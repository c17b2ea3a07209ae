"""Stored things that an application reaches only straight.

A list shows what one organisation stores, and a pool has several. A batch's results are fetched from
the absolute URL that the batch names, not from the SDK's base.
"""


def test_files_are_listed(anthropic_client):
    file = anthropic_client.files.upload(file=("notes.txt", b"some text", "text/plain"))
    assert file.id in [held.id for held in anthropic_client.files.list()]


def test_a_batchs_results_are_fetched(anthropic_client):
    messages = [{"role": "user", "content": "Hello"}]
    params = {"model": "claude-sonnet-5-5", "max_tokens": 50, "messages": messages}
    batch = anthropic_client.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
    anthropic_client.messages.batches.retrieve(batch.id)
    results = list(anthropic_client.messages.batches.results(batch.id))
    assert results[0].custom_id == "a"
    assert results[0].result.message.content[0].text == "You said: Hello"
