import json

import anthropic
import httpx2
import pytest

MODEL = "claude-sonnet-5-5"
HELLO = [{"role": "user", "content": "Hello"}]
LONG = [{"role": "user", "content": "sim:tokens=40"}]
WEATHER = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def test_a_message(anthropic_client):
    message = anthropic_client.messages.create(model=MODEL, max_tokens=100, messages=HELLO)
    assert message.content[0].text == "You said: Hello"
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 4)
    assert message._request_id.startswith("req_")


def test_a_stream_of_thought_and_text(anthropic_client):
    with anthropic_client.messages.stream(
        model=MODEL, max_tokens=2000, messages=HELLO, thinking={"type": "adaptive"}
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == "You said: Hello"
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert final.content[0].signature
    assert final.usage.output_tokens == 20


def test_a_tool_is_called_and_answered(anthropic_client):
    def ask(messages):
        with anthropic_client.messages.stream(
            model=MODEL, max_tokens=500, messages=messages, tools=[WEATHER]
        ) as stream:
            return stream.get_final_message()

    asked = ask([{"role": "user", "content": "Oslo"}])
    call = asked.content[-1]
    assert (asked.stop_reason, call.name, call.input) == ("tool_use", "get_weather", {"city": "Oslo"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    answered = ask(
        [
            {"role": "user", "content": "Oslo"},
            {"role": "assistant", "content": asked.content},
            {"role": "user", "content": [result]},
        ]
    )
    assert answered.content[0].text == "The tool said: rain"


def test_an_answer_ends_at_max_tokens_and_at_a_stop_sequence(anthropic_client):
    short = anthropic_client.messages.create(model=MODEL, max_tokens=2, messages=HELLO)
    assert (short.stop_reason, short.content[0].text) == ("max_tokens", "You said")
    stopped = anthropic_client.messages.create(
        model=MODEL, max_tokens=50, messages=HELLO, stop_sequences=["said"]
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "said")


def test_tokens_are_counted(anthropic_client):
    counted = anthropic_client.messages.count_tokens(model=MODEL, messages=HELLO)
    answered = anthropic_client.messages.create(model=MODEL, max_tokens=50, messages=HELLO)
    assert counted.input_tokens == answered.usage.input_tokens == 3


def test_a_marked_prompt_is_cached(anthropic_client):
    def ask():
        return anthropic_client.messages.create(
            model=MODEL,
            max_tokens=50,
            messages=HELLO,
            system=[
                {
                    "type": "text",
                    "text": "cache me " * 1000,
                    "cache_control": {"type": "ephemeral"},
                }
            ],
        ).usage

    # A pool may ask another organisation, which has a cache of its own.
    assert any(ask().cache_read_input_tokens > 2000 for _ in range(4))


def test_models_are_listed(anthropic_client):
    assert MODEL in [model.id for model in anthropic_client.models.list()]
    assert anthropic_client.models.retrieve(MODEL).display_name == MODEL


def test_a_file_is_uploaded_and_deleted(anthropic_client):
    file = anthropic_client.files.upload(file=("notes.txt", b"some text", "text/plain"))
    assert (file.filename, file.size_bytes, file.mime_type) == ("notes.txt", 9, "text/plain")
    anthropic_client.files.delete(file.id)
    with pytest.raises(anthropic.NotFoundError):
        anthropic_client.files.retrieve_metadata(file.id)


def test_a_batch_is_begun_and_ended(anthropic_client):
    params = {"model": MODEL, "max_tokens": 50, "messages": HELLO}
    batch = anthropic_client.messages.batches.create(requests=[{"custom_id": "a", "params": params}])
    assert batch.processing_status == "in_progress"
    done = anthropic_client.messages.batches.retrieve(batch.id)
    assert (done.processing_status, done.request_counts.succeeded) == ("ended", 1)
    # `batches.results` goes to the absolute URL that the batch names; this stays with the base URL.
    path = f"/v1/messages/batches/{batch.id}/results"
    results = anthropic_client.get(path, cast_to=httpx2.Response).text.splitlines()
    assert json.loads(results[0])["result"]["message"]["content"][0]["text"] == "You said: Hello"


def test_an_unknown_model_is_not_found(anthropic_client):
    with pytest.raises(anthropic.NotFoundError, match="model: claude-nine"):
        anthropic_client.messages.create(model="claude-nine", max_tokens=5, messages=HELLO)


def test_a_wrong_request_is_the_callers_fault(anthropic_client):
    with pytest.raises(anthropic.BadRequestError, match="budget_tokens"):
        anthropic_client.messages.create(
            model=MODEL,
            max_tokens=5000,
            messages=HELLO,
            thinking={"type": "enabled", "budget_tokens": 10},
        )
    with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs"):
        anthropic_client.messages.create(
            model=MODEL, max_tokens=5, messages=HELLO, extra_body={"temperature": 1.0}
        )


def test_an_error_event_is_raised(anthropic_client, simulator):
    with simulator.fault("errorEvent", after=4, path="/v1/messages"):
        with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
            with anthropic_client.messages.stream(
                model=MODEL, max_tokens=50, messages=LONG
            ) as stream:
                list(stream)


@pytest.mark.parametrize("inside", [False, True])
def test_a_cut_stream_looks_cut(anthropic_client, simulator, inside):
    with simulator.fault("cutStream", after=4, inside=inside, path="/v1/messages"):
        with pytest.raises(Exception) as error:
            with anthropic_client.messages.stream(
                model=MODEL, max_tokens=50, messages=LONG
            ) as stream:
                list(stream)
    assert type(error.value).__name__ in CUT


# Straight the SDK raises its transport's own error, through a proxy what the error event says.
CUT = {"RemoteProtocolError", "APIConnectionError", "APIStatusError", "InternalServerError",
       "OverloadedError"}
