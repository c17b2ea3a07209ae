"""What the providers refuse, as the SDKs raise it: a proxy is there to absorb these."""

import time

import anthropic
import openai
import pytest
from google.genai import errors

HELLO = [{"role": "user", "content": "Hello"}]


def chat(client):
    return client.chat.completions.create(model="gpt-4o", messages=HELLO)


def message(client):
    return client.messages.create(model="claude-sonnet-5-5", max_tokens=50, messages=HELLO)


def generate(client):
    return client.models.generate_content(model="gemini-2.5-flash", contents="Hello")


def test_openai_refuses_a_wrong_key(openai_client):
    with pytest.raises(openai.AuthenticationError) as error:
        chat(openai_client.with_options(api_key="sk-wrong-wrong-wrong-wrong"))
    assert error.value.code == "invalid_api_key"


def test_anthropic_refuses_a_wrong_key(anthropic_client):
    with pytest.raises(anthropic.AuthenticationError):
        message(anthropic_client.with_options(api_key="sk-ant-wrong"))


def test_gemini_refuses_a_dead_key(gemini_client, simulator):
    with simulator.fault("deadKey"), pytest.raises(errors.ClientError) as error:
        generate(gemini_client)
    assert (error.value.code, error.value.status) == (400, "INVALID_ARGUMENT")
    assert "API key not valid" in error.value.message


def test_openai_names_what_is_exhausted(openai_client, simulator):
    with simulator.fault("creditGone"), pytest.raises(openai.RateLimitError) as error:
        chat(openai_client)
    assert (error.value.type, error.value.code) == ("insufficient_quota", "credit_balance_exhausted")
    with simulator.fault("rateLimited", retryAfterMs=1500):
        with pytest.raises(openai.RateLimitError) as error:
            chat(openai_client)
    assert error.value.code == "rate_limit_exceeded"
    assert error.value.response.headers["retry-after-ms"] == "1500"


def test_openai_waits_as_long_as_it_is_told(openai_client, simulator):
    with simulator.fault("rateLimited", retryAfterMs=1500, times=1):
        begun = time.monotonic()
        chat(openai_client.with_options(max_retries=2))
    assert 1.4 < time.monotonic() - begun < 4


def test_anthropic_waits_as_long_as_it_is_told(anthropic_client, simulator):
    with simulator.fault("rateLimited", retryAfterMs=1500, times=1):
        begun = time.monotonic()
        message(anthropic_client.with_options(max_retries=2))
    assert 1.9 < time.monotonic() - begun < 5, "whole seconds, rounded up"


def test_anthropic_tells_overload_from_spend(anthropic_client, simulator):
    with simulator.fault("outage", status=529):
        with pytest.raises(anthropic.APIStatusError) as error:
            message(anthropic_client)
    assert (error.value.status_code, type(error.value).__name__) == (529, "OverloadedError")
    with simulator.fault("spendCap"), pytest.raises(anthropic.RateLimitError) as error:
        message(anthropic_client)
    assert "retry-after" not in error.value.response.headers
    assert error.value.body["error"]["details"]["error_code"] == "enforced_spend_limit_reached"


def test_gemini_says_when_to_come_back(gemini_client, simulator):
    with simulator.fault("rateLimited", retryAfterMs=1500):
        with pytest.raises(errors.ClientError) as error:
            generate(gemini_client)
    assert (error.value.code, error.value.status) == (429, "RESOURCE_EXHAUSTED")
    details = {detail["@type"].rsplit(".")[-1]: detail for detail in error.value.details["error"]["details"]}
    assert details["RetryInfo"]["retryDelay"] == "1.5s"
    assert details["QuotaFailure"]["violations"][0]["quotaId"].endswith("PerMinutePerProjectPerModel")


def test_gemini_is_overloaded(gemini_client, simulator):
    with simulator.fault("outage", status=503), pytest.raises(errors.ServerError) as error:
        generate(gemini_client)
    assert (error.value.code, error.value.status) == (503, "UNAVAILABLE")


def test_a_forbidden_model(openai_client, anthropic_client, simulator):
    with simulator.fault("forbiddenModel"):
        with pytest.raises(openai.PermissionDeniedError):
            chat(openai_client)
        with pytest.raises(anthropic.PermissionDeniedError):
            message(anthropic_client)


def test_a_connection_that_breaks_before_the_answer(openai_client, simulator):
    with simulator.fault("hangUp"), pytest.raises(openai.APIConnectionError):
        chat(openai_client)
    with simulator.fault("hangUp", times=1):
        assert chat(openai_client.with_options(max_retries=1)).choices
