import asyncio
import io
import json
import os

import openai
import pydantic
import pytest

HELLO = [{"role": "user", "content": "Hello"}]
LONG = [{"role": "user", "content": "sim:tokens=40"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def test_a_chat_completion(openai_client):
    answer = openai_client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert answer.choices[0].message.content == "You said: Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 4
    assert answer._request_id


def test_a_chat_stream_with_usage(openai_client):
    stream = openai_client.chat.completions.create(
        model="gpt-4o", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "You said: Hello"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 4


def test_a_chat_stream_that_did_not_ask_has_no_usage(openai_client):
    chunks = list(openai_client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


def test_the_streaming_helper_sees_the_whole_answer(openai_client):
    with openai_client.chat.completions.stream(model="gpt-4o", messages=HELLO) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "You said: Hello"


def test_a_tool_is_called_and_answered(openai_client):
    asked = openai_client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Oslo"}], tools=[WEATHER]
    )
    call = asked.choices[0].message.tool_calls[0]
    assert asked.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Oslo"})
    answered = openai_client.chat.completions.create(
        model="gpt-4o",
        tools=[WEATHER],
        messages=[
            {"role": "user", "content": "Oslo"},
            asked.choices[0].message,
            {"role": "tool", "tool_call_id": call.id, "content": "rain"},
        ],
    )
    assert answered.choices[0].message.content == "The tool said: rain"


def test_parallel_tools_stream_in_fragments(openai_client):
    messages = [{"role": "user", "content": "sim:calls=2"}]
    with openai_client.chat.completions.stream(
        model="gpt-4o", messages=messages, tools=[WEATHER]
    ) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "sim:calls=2"}] * 2
    assert calls[0].id != calls[1].id


def test_a_structured_answer_is_parsed(openai_client):
    class Person(pydantic.BaseModel):
        name: str
        age: int

    answer = openai_client.chat.completions.parse(
        model="gpt-4o", messages=HELLO, response_format=Person
    )
    assert answer.choices[0].message.parsed == Person(name="Hello", age=1)


def test_several_choices(openai_client):
    answer = openai_client.chat.completions.create(model="gpt-4o", messages=HELLO, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage.completion_tokens == 12


def test_an_answer_ends_at_max_tokens(openai_client):
    answer = openai_client.chat.completions.create(
        model="o4-mini",
        messages=[{"role": "user", "content": "sim:tokens=100"}],
        max_completion_tokens=20,
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 20
    assert answer.usage.completion_tokens_details.reasoning_tokens == 16


def test_legacy_completions(openai_client):
    answer = openai_client.completions.create(model="gpt-4o", prompt="Hello", max_tokens=2)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("You said", "length")
    chunks = openai_client.completions.create(model="gpt-4o", prompt="Hello", stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "You said: Hello"


def test_embeddings_are_the_same_as_numbers_and_as_base64(openai_client):
    def embed(**more):
        return openai_client.embeddings.create(
            model="text-embedding-3-small", input=["one", "two"], dimensions=8, **more
        )

    packed, plain = embed(), embed(encoding_format="float")
    assert len(packed.data) == 2
    for one, other in zip(packed.data, plain.data):
        assert one.embedding == pytest.approx(other.embedding)
    assert packed.data[0].embedding != packed.data[1].embedding


def test_responses_follow_each_other(openai_client):
    first = openai_client.responses.create(model="gpt-4o", input="Hello")
    assert first.output_text == "You said: Hello"
    second = openai_client.responses.create(
        model="gpt-4o", input="More", previous_response_id=first.id
    )
    assert second.output_text == "You said: More"
    assert second.usage.input_tokens > first.usage.input_tokens
    assert openai_client.responses.retrieve(first.id).id == first.id


def test_a_response_stream(openai_client):
    with openai_client.responses.stream(model="o4-mini", input="Hello") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert final.output_text == "You said: Hello"
    assert final.usage.output_tokens_details.reasoning_tokens == 16


def test_a_response_calls_a_tool(openai_client):
    tool = {"type": "function", "strict": True, **WEATHER["function"]}
    with openai_client.responses.stream(model="gpt-4o", input="Oslo", tools=[tool]) as stream:
        call = stream.get_final_response().output[-1]
    assert (call.type, json.loads(call.arguments)) == ("function_call", {"city": "Oslo"})


def test_models_are_listed(openai_client):
    assert "gpt-4o" in [model.id for model in openai_client.models.list()]


def test_a_file_is_uploaded_read_and_deleted(openai_client):
    content = b'{"text": "a"}\n' * 50_000
    file = openai_client.files.create(file=("lines.jsonl", io.BytesIO(content)), purpose="user_data")
    assert (file.filename, file.bytes, file.status) == ("lines.jsonl", len(content), "processed")
    assert openai_client.files.content(file.id).read() == content
    assert openai_client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        openai_client.files.retrieve(file.id)


def test_a_batch_is_worked_off(openai_client):
    line = {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "gpt-4o", "messages": HELLO},
    }
    file = openai_client.files.create(
        file=("in.jsonl", json.dumps(line).encode()), purpose="batch"
    )
    batch = openai_client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    done = openai_client.batches.retrieve(batch.id)
    assert (done.status, done.request_counts.completed) == ("completed", 1)
    result = json.loads(openai_client.files.content(done.output_file_id).text)
    assert result["response"]["body"]["choices"][0]["message"]["content"] == "You said: Hello"


def test_a_vector_store_holds_a_file(openai_client):
    file = openai_client.files.create(file=("a.txt", b"some text"), purpose="assistants")
    store = openai_client.vector_stores.create(name="docs", file_ids=[file.id])
    assert store.file_counts.completed == 1
    assert [held.id for held in openai_client.vector_stores.files.list(store.id)] == [file.id]
    assert openai_client.vector_stores.delete(store.id).deleted


def test_speech_is_written_down_and_read_out(openai_client):
    text = openai_client.audio.transcriptions.create(
        model="whisper-1", file=("voice.mp3", b"\x00\x01" * 500)
    )
    assert text.text == "1000 bytes of voice.mp3"
    sound = openai_client.audio.speech.create(model="whisper-1", voice="alloy", input="Hi")
    assert sound.read() == bytes([0xFF, 0xFB, 72, 183, 0xFF, 0xFB, 105, 150])


def test_moderation(openai_client):
    answer = openai_client.moderations.create(input="Hello")
    assert answer.results[0].flagged is False


def test_a_realtime_socket_greets(openai_client):
    with openai_client.realtime.connect(model="gpt-4o") as connection:
        assert connection.recv().type == "session.created"


def test_an_unknown_model_is_not_found(openai_client):
    with pytest.raises(openai.NotFoundError) as error:
        openai_client.chat.completions.create(model="gpt-9", messages=HELLO)
    assert error.value.code == "model_not_found"


def test_a_wrong_request_is_the_callers_fault(openai_client):
    with pytest.raises(openai.BadRequestError) as error:
        openai_client.chat.completions.create(model="gpt-4o", messages=HELLO, temperature=3)
    assert (error.value.param, error.value.code) == ("temperature", "decimal_above_max_value")


@pytest.mark.parametrize("inside", [False, True])
def test_a_cut_stream_looks_cut(openai_client, simulator, inside):
    with simulator.fault("cutStream", after=4, inside=inside, path="/v1/chat/completions"):
        stream = openai_client.chat.completions.create(model="gpt-4o", messages=LONG, stream=True)
        with pytest.raises(openai.APIError):
            list(stream)


@pytest.mark.parametrize("inside", [False, True])
def test_a_cut_response_stream_looks_cut(openai_client, simulator, inside):
    with simulator.fault("cutStream", after=6, inside=inside, path="/v1/responses"):
        stream = openai_client.responses.create(model="gpt-4o", input="sim:tokens=40", stream=True)
        with pytest.raises(openai.APIError):
            list(stream)


def test_an_error_event_is_raised(openai_client, simulator):
    with simulator.fault("errorEvent", after=4, path="/v1/chat/completions"):
        stream = openai_client.chat.completions.create(model="gpt-4o", messages=LONG, stream=True)
        with pytest.raises(openai.APIError, match="The server had an error"):
            list(stream)


def test_fifty_at_once():
    async def ask_all():
        async with openai.AsyncOpenAI(
            base_url=os.environ["KEYWEIR_OPENAI_BASE"], api_key=os.environ["KEYWEIR_OPENAI_KEY"]
        ) as client:

            async def ask(nth):
                stream = await client.chat.completions.create(
                    model="gpt-4o", messages=[{"role": "user", "content": str(nth)}], stream=True
                )
                return "".join([c.choices[0].delta.content or "" async for c in stream])

            return await asyncio.gather(*(ask(nth) for nth in range(50)))

    assert asyncio.run(ask_all()) == [f"You said: {nth}" for nth in range(50)]
