import io

import pydantic
import pytest
from google.genai import errors, types

MODEL = "gemini-2.5-flash"
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


def test_content_is_generated(gemini_client):
    answer = gemini_client.models.generate_content(model=MODEL, contents="Hello")
    assert answer.text == "You said: Hello"
    assert answer.candidates[0].finish_reason == "STOP"
    assert answer.usage_metadata.candidates_token_count == 4


def test_content_is_streamed(gemini_client):
    chunks = list(gemini_client.models.generate_content_stream(model=MODEL, contents="Hello"))
    assert len(chunks) > 0
    assert "".join(chunk.text for chunk in chunks) == "You said: Hello"
    assert chunks[-1].candidates[0].finish_reason == "STOP"


def test_a_chat_goes_on(gemini_client):
    chat = gemini_client.chats.create(model=MODEL)
    assert chat.send_message("One").text == "You said: One"
    assert "".join(chunk.text for chunk in chat.send_message_stream("Two")) == "You said: Two"
    assert len(chat.get_history()) == 4


def test_a_tool_is_called_and_answered(gemini_client):
    config = types.GenerateContentConfig(tools=[WEATHER])
    asked = gemini_client.models.generate_content(model=MODEL, contents="Oslo", config=config)
    call = asked.function_calls[0]
    assert (call.name, call.args) == ("get_weather", {"city": "Oslo"})
    part = types.Part.from_function_response(name=call.name, response={"sky": "rain"})
    answered = gemini_client.models.generate_content(
        model=MODEL,
        config=config,
        contents=[
            types.Content(role="user", parts=[types.Part(text="Oslo")]),
            asked.candidates[0].content,
            types.Content(role="user", parts=[part]),
        ],
    )
    assert answered.text == 'The tool said: {"sky":"rain"}'


def test_a_structured_answer_is_parsed(gemini_client):
    class Person(pydantic.BaseModel):
        name: str
        age: int

    answer = gemini_client.models.generate_content(
        model=MODEL,
        contents="Hello",
        config=types.GenerateContentConfig(
            response_mime_type="application/json", response_schema=Person
        ),
    )
    assert answer.parsed == Person(name="Hello", age=1)


def test_thoughts_are_shown(gemini_client):
    answer = gemini_client.models.generate_content(
        model=MODEL,
        contents="Hello",
        config=types.GenerateContentConfig(
            thinking_config=types.ThinkingConfig(include_thoughts=True)
        ),
    )
    assert answer.candidates[0].content.parts[0].thought
    assert answer.usage_metadata.thoughts_token_count == 16


def test_an_answer_ends_at_max_tokens(gemini_client):
    answer = gemini_client.models.generate_content(
        model=MODEL, contents="Hello", config=types.GenerateContentConfig(max_output_tokens=2)
    )
    assert (answer.text, answer.candidates[0].finish_reason) == ("You said", "MAX_TOKENS")


def test_tokens_are_counted(gemini_client):
    counted = gemini_client.models.count_tokens(model=MODEL, contents="Hello, world")
    assert counted.total_tokens > 0


def test_embeddings(gemini_client):
    answer = gemini_client.models.embed_content(
        model="gemini-embedding-001", contents=["one", "two"]
    )
    assert len(answer.embeddings) == 2
    assert answer.embeddings[0].values != answer.embeddings[1].values


def test_models_are_listed(gemini_client):
    assert f"models/{MODEL}" in [model.name for model in gemini_client.models.list()]
    assert gemini_client.models.get(model=MODEL).input_token_limit > 0


def test_a_file_is_uploaded_used_and_deleted(gemini_client):
    # Larger than the SDK's piece of 8 MiB, so that it comes in two.
    content = b"0123456789abcdef" * (600 * 1024)
    file = gemini_client.files.upload(
        file=io.BytesIO(content), config={"mime_type": "text/plain", "display_name": "notes"}
    )
    assert (file.size_bytes, file.mime_type, file.display_name) == (
        len(content), "text/plain", "notes",
    )
    answer = gemini_client.models.generate_content(model=MODEL, contents=[file, "Hello"])
    assert answer.text == "You said: Hello"
    assert gemini_client.files.get(name=file.name).state == "ACTIVE"
    gemini_client.files.delete(name=file.name)
    with pytest.raises(errors.ClientError):
        gemini_client.files.get(name=file.name)


def test_cached_content_is_used(gemini_client):
    cache = gemini_client.caches.create(
        model=MODEL,
        config=types.CreateCachedContentConfig(contents=["remember this " * 1000], ttl="600s"),
    )
    answer = gemini_client.models.generate_content(
        model=MODEL,
        contents="Hello",
        config=types.GenerateContentConfig(cached_content=cache.name),
    )
    cached = answer.usage_metadata.cached_content_token_count
    assert cached == cache.usage_metadata.total_token_count > 3000
    gemini_client.caches.delete(name=cache.name)
    with pytest.raises(errors.ClientError):
        gemini_client.caches.get(name=cache.name)


def test_an_unknown_model_is_not_found(gemini_client):
    with pytest.raises(errors.ClientError) as error:
        gemini_client.models.generate_content(model="gemini-9", contents="Hello")
    assert (error.value.code, error.value.status) == (404, "NOT_FOUND")


def test_a_wrong_request_is_the_callers_fault(gemini_client):
    bad = types.Content(role="robot", parts=[types.Part(text="Hello")])
    with pytest.raises(errors.ClientError) as error:
        gemini_client.models.generate_content(model=MODEL, contents=[bad])
    assert (error.value.code, error.value.status) == (400, "INVALID_ARGUMENT")


def test_an_error_in_a_stream_is_raised(gemini_client, simulator):
    prompt = "sim:tokens=40"
    with simulator.fault("errorEvent", after=3, path=":streamGenerateContent"):
        with pytest.raises(errors.APIError):
            list(gemini_client.models.generate_content_stream(model=MODEL, contents=prompt))


@pytest.mark.parametrize("inside", [False, True])
def test_a_cut_stream_looks_cut(gemini_client, simulator, inside):
    prompt = "sim:tokens=40"
    with simulator.fault("cutStream", after=3, inside=inside, path=":streamGenerateContent"):
        with pytest.raises(Exception) as error:
            list(gemini_client.models.generate_content_stream(model=MODEL, contents=prompt))
    assert type(error.value).__name__ in {"RemoteProtocolError", "APIError", "ServerError"}
