"""Anthropic's SDK, unmodified, against providers that speak other formats."""

import anthropic
import pytest

GPT = "openai/gpt-4o"
GEMINI = "gemini/gemini-2.5-flash"
HELLO = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}

across = pytest.mark.parametrize("model", [GPT, GEMINI])
broken = pytest.mark.parametrize("kind", ["errorEvent", "cutStream"])


@across
def test_a_message(anthropic_client, model):
    message = anthropic_client.messages.create(
        model=model, max_tokens=100, messages=HELLO, system="Be brief."
    )
    assert message.content[0].text == "You said: Hello"
    assert (message.type, message.role) == ("message", "assistant")
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 4)
    assert message.usage.input_tokens > 0


@across
def test_a_stream(anthropic_client, model):
    with anthropic_client.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text == "You said: Hello"
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 4)
    assert final.usage.input_tokens > 0


@across
def test_a_tool_is_called_and_answered(anthropic_client, model):
    def ask(messages):
        with anthropic_client.messages.stream(
            model=model, max_tokens=500, messages=messages, tools=[WEATHER]
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
    assert "rain" in answered.content[0].text


@across
def test_parallel_tools(anthropic_client, model):
    messages = [{"role": "user", "content": "sim:calls=2"}]
    for stream in [False, True]:
        more = {"model": model, "max_tokens": 500, "messages": messages, "tools": [WEATHER]}
        if stream:
            with anthropic_client.messages.stream(**more) as it:
                asked = it.get_final_message()
        else:
            asked = anthropic_client.messages.create(**more)
        calls = [block for block in asked.content if block.type == "tool_use"]
        assert [call.input for call in calls] == [{"city": "sim:calls=2"}] * 2
        assert calls[0].id != calls[1].id


@across
def test_a_tool_is_chosen(anthropic_client, model):
    choice = {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}
    asked = anthropic_client.messages.create(
        model=model, max_tokens=500, messages=HELLO, tools=[WEATHER], tool_choice=choice
    )
    assert asked.stop_reason == "tool_use"


@across
def test_a_structured_answer(anthropic_client, model):
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    message = anthropic_client.messages.create(
        model=model,
        max_tokens=100,
        messages=HELLO,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert message.content[0].text == '{"name":"Hello"}'


def test_thoughts_of_gemini_s(anthropic_client):
    with anthropic_client.messages.stream(
        model=GEMINI,
        max_tokens=3000,
        messages=[{"role": "user", "content": "Oslo"}],
        tools=[WEATHER],
        thinking={"type": "enabled", "budget_tokens": 1024},
    ) as stream:
        asked = stream.get_final_message()
    assert [block.type for block in asked.content] == ["thinking", "redacted_thinking", "tool_use"]
    call = asked.content[-1]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    answered = anthropic_client.messages.create(
        model=GEMINI,
        max_tokens=500,
        tools=[WEATHER],
        messages=[
            {"role": "user", "content": "Oslo"},
            {"role": "assistant", "content": asked.content},
            {"role": "user", "content": [result]},
        ],
    )
    assert "rain" in answered.content[-1].text


@across
def test_an_answer_ends_where_the_request_says(anthropic_client, model):
    long = [{"role": "user", "content": "sim:tokens=100"}]
    message = anthropic_client.messages.create(model=model, max_tokens=20, messages=long)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 20)


@across
def test_the_provider_s_own_refusal_comes_in_anthropic_s_words(anthropic_client, model):
    with pytest.raises(anthropic.NotFoundError) as refused:
        anthropic_client.messages.create(model=model + "-unknown-to-anthropic", max_tokens=9, messages=HELLO)
    assert refused.value.body["error"]["type"] == "not_found_error"
    assert refused.value.body["error"]["original"]


@across
def test_tools_that_anthropic_runs_are_refused_by_name(anthropic_client, model):
    with pytest.raises(anthropic.BadRequestError) as refused:
        anthropic_client.messages.create(
            model=model,
            max_tokens=9,
            messages=HELLO,
            tools=[{"type": "web_search_20250305", "name": "web_search"}],
        )
    assert "tools[0].type" in refused.value.message


@broken
def test_a_stream_that_breaks_is_an_error(anthropic_client, simulator, kind):
    long = [{"role": "user", "content": "sim:tokens=40"}]
    for account, model in [("openai", GPT), ("gemini", GEMINI)]:
        with simulator.faults(account, kind, after=2):
            with pytest.raises(anthropic.APIError):
                with anthropic_client.messages.stream(
                    model=model, max_tokens=100, messages=long
                ) as stream:
                    stream.get_final_message()
