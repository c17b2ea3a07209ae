"""Google's SDK, unmodified, against providers that speak other formats."""

import pydantic
import pytest
from google.genai import errors, types

GPT = "openai/gpt-4o"
CLAUDE = "anthropic/claude-sonnet-5-5"
WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            parameters=types.Schema(
                type="OBJECT", properties={"city": types.Schema(type="STRING")}
            ),
        )
    ]
)

across = pytest.mark.parametrize("model", [GPT, CLAUDE])
broken = pytest.mark.parametrize("kind", ["errorEvent", "cutStream"])


@across
def test_content_is_generated(gemini_client, model):
    config = types.GenerateContentConfig(system_instruction="Be brief.", temperature=0.5)
    answer = gemini_client.models.generate_content(model=model, contents="Hello", config=config)
    assert answer.text == "You said: Hello"
    assert answer.candidates[0].finish_reason == "STOP"
    assert answer.usage_metadata.candidates_token_count == 4


@across
def test_content_is_streamed(gemini_client, model):
    chunks = list(gemini_client.models.generate_content_stream(model=model, contents="Hello"))
    assert "".join(chunk.text for chunk in chunks) == "You said: Hello"
    assert chunks[-1].candidates[0].finish_reason == "STOP"
    assert chunks[-1].usage_metadata.candidates_token_count == 4


@across
def test_a_chat_goes_on(gemini_client, model):
    chat = gemini_client.chats.create(model=model)
    assert chat.send_message("One").text == "You said: One"
    assert "".join(chunk.text for chunk in chat.send_message_stream("Two")) == "You said: Two"
    roles = [content.role for content in chat.get_history(curated=True)]
    assert roles[:4] == ["user", "model", "user", "model"]


@across
def test_a_tool_is_called_and_answered(gemini_client, model):
    config = types.GenerateContentConfig(tools=[WEATHER])
    asked = gemini_client.models.generate_content(model=model, contents="Oslo", config=config)
    call = asked.function_calls[0]
    assert (call.name, call.args) == ("get_weather", {"city": "Oslo"})
    part = types.Part.from_function_response(name=call.name, response={"result": "rain"})
    answered = gemini_client.models.generate_content(
        model=model,
        config=config,
        contents=[
            types.Content(role="user", parts=[types.Part(text="Oslo")]),
            asked.candidates[0].content,
            types.Content(role="user", parts=[part]),
        ],
    )
    assert answered.text == "The tool said: rain"


@across
def test_parallel_tools_stream_whole(gemini_client, model):
    config = types.GenerateContentConfig(tools=[WEATHER])
    chunks = gemini_client.models.generate_content_stream(
        model=model, contents="sim:calls=2", config=config
    )
    calls = [call for chunk in chunks for call in chunk.function_calls or []]
    assert [call.args for call in calls] == [{"city": "sim:calls=2"}] * 2
    assert calls[0].id != calls[1].id


@across
def test_python_functions_are_called_by_the_sdk(gemini_client, model):
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return f"rain in {city}"

    config = types.GenerateContentConfig(tools=[get_weather])
    answer = gemini_client.models.generate_content(model=model, contents="Oslo", config=config)
    assert answer.text == "The tool said: rain in Oslo"


@across
def test_a_structured_answer_is_parsed(gemini_client, model):
    class Person(pydantic.BaseModel):
        name: str
        age: int

    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_schema=Person
    )
    answer = gemini_client.models.generate_content(model=model, contents="Hello", config=config)
    assert answer.parsed == Person(name="Hello", age=1)


def test_thoughts_of_claude_s_stream_and_are_given_back(gemini_client):
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    config = types.GenerateContentConfig(thinking_config=thinking, tools=[WEATHER])
    chat = gemini_client.chats.create(model=CLAUDE, config=config)
    parts = [
        part
        for chunk in chat.send_message_stream("Oslo")
        for part in chunk.candidates[0].content.parts or []
    ]
    assert any(part.thought and part.text for part in parts)
    assert any(part.thought_signature for part in parts)
    name = next(part.function_call.name for part in parts if part.function_call)
    result = types.Part.from_function_response(name=name, response={"result": "rain"})
    assert chat.send_message(result).text == "The tool said: rain"


@across
def test_an_answer_ends_at_its_bound(gemini_client, model):
    config = types.GenerateContentConfig(max_output_tokens=20)
    answer = gemini_client.models.generate_content(
        model=model, contents="sim:tokens=100", config=config
    )
    assert answer.candidates[0].finish_reason == "MAX_TOKENS"


@across
def test_the_provider_s_own_refusal_comes_in_google_s_words(gemini_client, model):
    with pytest.raises(errors.ClientError) as refused:
        gemini_client.models.generate_content(model=model + "-unknown-to-google", contents="Hello")
    assert (refused.value.code, refused.value.status) == (404, "NOT_FOUND")


@broken
def test_a_stream_that_breaks_is_an_error(gemini_client, simulator, kind):
    for account, model in [("openai", GPT), ("anthropic", CLAUDE)]:
        with simulator.faults(account, kind, after=2):
            with pytest.raises(errors.APIError):
                list(
                    gemini_client.models.generate_content_stream(
                        model=model, contents="sim:tokens=40"
                    )
                )
