"""OpenAI's SDK, unmodified, against providers that speak other formats."""

import asyncio
import json
import os

import openai
import pydantic
import pytest

CLAUDE = "anthropic/claude-sonnet-5-5"
GEMINI = "gemini/gemini-2.5-flash"
HELLO = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}

across = pytest.mark.parametrize("model", [CLAUDE, GEMINI])
broken = pytest.mark.parametrize("kind", ["errorEvent", "cutStream"])


@across
def test_a_chat_completion(openai_client, model):
    messages = [{"role": "system", "content": "Be brief."}, *HELLO]
    answer = openai_client.chat.completions.create(model=model, messages=messages, temperature=0.5)
    assert answer.choices[0].message.content == "You said: Hello"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion" and answer.id and answer.created
    assert answer.usage.completion_tokens == 4
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 4
    assert answer._request_id


@across
def test_a_chat_stream_with_usage(openai_client, model):
    chunks = list(
        openai_client.chat.completions.create(
            model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert len({chunk.id for chunk in chunks}) == 1
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "You said: Hello"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 4


@across
def test_a_chat_stream_that_did_not_ask_has_no_usage(openai_client, model):
    chunks = list(openai_client.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)


@across
def test_several_turns(openai_client, model):
    messages = [*HELLO, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Bye"}]
    answer = openai_client.chat.completions.create(model=model, messages=messages)
    assert answer.choices[0].message.content == "You said: Bye"


@across
def test_a_tool_is_called_and_answered(openai_client, model):
    asked = openai_client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Oslo"}], tools=[WEATHER]
    )
    call = asked.choices[0].message.tool_calls[0]
    assert asked.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Oslo"})
    answered = openai_client.chat.completions.create(
        model=model,
        tools=[WEATHER],
        messages=[
            {"role": "user", "content": "Oslo"},
            asked.choices[0].message,
            {"role": "tool", "tool_call_id": call.id, "content": "rain"},
        ],
    )
    assert "rain" in answered.choices[0].message.content


@across
def test_parallel_tools_stream_in_fragments_and_are_answered_together(openai_client, model):
    messages = [{"role": "user", "content": "sim:calls=2"}]
    with openai_client.chat.completions.stream(
        model=model, messages=messages, tools=[WEATHER], tool_choice="required"
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    calls = message.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "sim:calls=2"}] * 2
    assert calls[0].id != calls[1].id
    results = [{"role": "tool", "tool_call_id": call.id, "content": "rain"} for call in calls]
    answered = openai_client.chat.completions.create(
        model=model, tools=[WEATHER], messages=[*messages, message, *results]
    )
    assert "rain" in answered.choices[0].message.content


@across
def test_one_tool_is_chosen_or_none(openai_client, model):
    def ask(choice):
        return openai_client.chat.completions.create(
            model=model, messages=HELLO, tools=[WEATHER], tool_choice=choice
        )

    named = ask({"type": "function", "function": {"name": "get_weather"}})
    assert named.choices[0].finish_reason == "tool_calls"
    assert ask("none").choices[0].message.content == "You said: Hello"


@across
def test_a_structured_answer_is_parsed(openai_client, model):
    class Person(pydantic.BaseModel):
        name: str
        age: int

    answer = openai_client.chat.completions.parse(model=model, messages=HELLO, response_format=Person)
    assert answer.choices[0].message.parsed == Person(name="Hello", age=1)


@across
def test_thoughts_are_told_and_given_back(openai_client, model):
    messages = [{"role": "user", "content": "Oslo"}]
    asked = openai_client.chat.completions.create(
        model=model, messages=messages, tools=[WEATHER], reasoning_effort="high"
    )
    message = asked.choices[0].message
    assert message.reasoning_content
    assert asked.usage.completion_tokens_details.reasoning_tokens == 16
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
    answered = openai_client.chat.completions.with_raw_response.create(
        model=model, messages=[*messages, message, result], tools=[WEATHER], reasoning_effort="high"
    )
    assert "rain" in answered.parse().choices[0].message.content


@across
def test_thoughts_stream(openai_client, model):
    with openai_client.chat.completions.stream(
        model=model, messages=HELLO, reasoning_effort="high"
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.content == "You said: Hello"
    assert message.reasoning_content
    if model == CLAUDE:
        block = message.thinking_blocks[0]
        assert block["signature"] and block["thinking"] == message.reasoning_content


@across
def test_an_answer_ends_where_the_request_says(openai_client, model):
    long = [{"role": "user", "content": "sim:tokens=100"}]
    answer = openai_client.chat.completions.create(model=model, messages=long, max_tokens=20)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 20
    stopped = openai_client.chat.completions.create(model=model, messages=HELLO, stop=["said"])
    assert stopped.choices[0].message.content == "You "
    assert stopped.choices[0].finish_reason == "stop"


@across
def test_a_picture_is_seen_whether_here_or_there(openai_client, model):
    pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
    for url in [pixel, "https://example.com/cat.png"]:
        parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Hello"}]
        answer = openai_client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": parts}]
        )
        assert answer.choices[0].message.content == "You said: Hello"


@across
def test_a_filtered_answer_says_so(openai_client, model):
    filtered = [{"role": "user", "content": "sim:filter=1"}]
    answer = openai_client.chat.completions.create(model=model, messages=filtered)
    assert answer.choices[0].finish_reason == "content_filter"


@across
def test_what_does_not_change_the_answer_is_dropped_and_named(openai_client, model):
    raw = openai_client.chat.completions.with_raw_response.create(
        model=model, messages=HELLO, metadata={"a": "b"}, store=False, seed=7
    )
    dropped = raw.headers["x-keyweir-dropped"].split(", ")
    assert {"metadata", "store"} <= set(dropped)
    assert ("seed" in dropped) == (model == CLAUDE)


@across
def test_what_changes_the_answer_is_refused_by_name(openai_client, model):
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.chat.completions.create(model=model, messages=HELLO, logprobs=True)
    assert "logprobs" in refused.value.message


@across
def test_the_provider_s_own_refusal_comes_in_openai_s_words(openai_client, model):
    unknown = model + "-unknown-to-openai"
    with pytest.raises(openai.NotFoundError) as refused:
        openai_client.chat.completions.create(model=unknown, messages=HELLO)
    assert refused.value.body["original"]["error"]["message"] in refused.value.message


@broken
def test_a_stream_that_breaks_is_an_error(openai_client, simulator, kind):
    for account, model in [("anthropic", CLAUDE), ("gemini", GEMINI)]:
        with simulator.faults(account, kind, after=2):
            with pytest.raises(openai.APIError):
                list(
                    openai_client.chat.completions.create(
                        model=model,
                        messages=[{"role": "user", "content": "sim:tokens=40"}],
                        stream=True,
                    )
                )


def test_the_asynchronous_client(openai_client):
    async def ask():
        async with openai.AsyncOpenAI(
            base_url=os.environ["KEYWEIR_OPENAI_BASE"], api_key="placeholder"
        ) as client:
            stream = await client.chat.completions.create(model=CLAUDE, messages=HELLO, stream=True)
            return "".join([c.choices[0].delta.content or "" async for c in stream])

    assert asyncio.run(ask()) == "You said: Hello"
