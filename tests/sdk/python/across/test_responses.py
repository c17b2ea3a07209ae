"""OpenAI's responses, asked of providers that have none."""

import json

import openai
import pydantic
import pytest

CLAUDE = "anthropic/claude-sonnet-5-5"
GEMINI = "gemini/gemini-2.5-flash"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}

across = pytest.mark.parametrize("model", [CLAUDE, GEMINI])


@across
def test_a_response(openai_client, model):
    response = openai_client.responses.create(model=model, input="Hello", instructions="Be brief.")
    assert response.output_text == "You said: Hello"
    assert (response.status, response.error) == ("completed", None)
    assert response.usage.output_tokens == 4 and response.id.startswith("resp_")


@across
def test_a_stream(openai_client, model):
    with openai_client.responses.stream(model=model, input="Hello") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert final.output_text == "You said: Hello"
    assert final.usage.output_tokens == 4
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == "You said: Hello"
    assert [e.sequence_number for e in events] == sorted({e.sequence_number for e in events})


@across
def test_a_tool_is_called_and_answered_in_a_loop(openai_client, model):
    asked = [{"role": "user", "content": "Oslo"}]
    for stream in [False, True]:
        more = {"model": model, "input": asked, "tools": [WEATHER]}
        if stream:
            with openai_client.responses.stream(**more, reasoning={"effort": "high"}) as it:
                response = it.get_final_response()
        else:
            response = openai_client.responses.create(**more, reasoning={"effort": "high"})
        call = next(item for item in response.output if item.type == "function_call")
        assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Oslo"})
        assert any(item.type == "reasoning" and item.summary for item in response.output)
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
        answered = openai_client.responses.create(
            model=model, tools=[WEATHER], input=[*asked, *response.output, result]
        )
        assert "rain" in answered.output_text


@across
def test_a_structured_response_is_parsed(openai_client, model):
    class Person(pydantic.BaseModel):
        name: str
        age: int

    response = openai_client.responses.parse(model=model, input="Hello", text_format=Person)
    assert response.output_parsed == Person(name="Hello", age=1)


@across
def test_a_response_that_is_cut_short_says_so(openai_client, model):
    response = openai_client.responses.create(
        model=model, input="sim:tokens=100", max_output_tokens=20
    )
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"


@across
def test_what_is_kept_at_openai_is_refused_by_name(openai_client, model):
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.responses.create(model=model, input="hi", previous_response_id="resp_1")
    assert "previous_response_id" in refused.value.message


def test_a_stream_that_breaks_is_an_error(openai_client, simulator):
    for kind in ["errorEvent", "cutStream"]:
        with simulator.faults("anthropic", kind, after=3):
            with pytest.raises(openai.APIError):
                list(
                    openai_client.responses.create(
                        model=CLAUDE, input="sim:tokens=40", stream=True
                    )
                )
