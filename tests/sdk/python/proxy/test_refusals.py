"""What the proxy itself refuses: the exception that each SDK makes of it, and what it then does."""

import time
from datetime import datetime, timezone

import anthropic
import openai
import pytest
from google.genai import errors

HELLO = [{"role": "user", "content": "Hello"}]
AT_ONCE = {"x-keyweir-max-wait": "0s"}


def chat(client, model="gpt-4o", **options):
    return client.chat.completions.create(model=model, messages=HELLO, **options)


def message(client, model="claude-sonnet-5-5", max_tokens=50, **options):
    return client.messages.create(
        model=model, max_tokens=max_tokens, messages=HELLO, **options
    )


def generate(client, model="gemini-2.5-flash", **config):
    return client.models.generate_content(model=model, contents="Hello", config=config or None)


def took(work, expected):
    """How long that took to be refused, and with what."""
    begun = time.monotonic()
    with pytest.raises(expected) as error:
        work()
    return time.monotonic() - begun, error.value


# Capacity that is gone for days: with the SDKs' own retries, which is where some would sleep.


@pytest.mark.parametrize("retries", [2, 10])
def test_nobody_sleeps_where_openais_capacity_is_gone_for_long(proxy, retries):
    before = proxy.metric("keyweir_refusals_total", code="keys_temporarily_exhausted")
    with proxy.openai("openai-spent", max_retries=retries) as client:
        seconds, error = took(lambda: chat(client), openai.RateLimitError)
    assert seconds < 5
    assert (error.code, error.type) == ("keys_temporarily_exhausted", "rate_limit_error")
    assert gone_for_long(error.response.headers)
    after = proxy.metric("keyweir_refusals_total", code="keys_temporarily_exhausted")
    assert after - before == 1, "the SDK did not ask again"


@pytest.mark.parametrize("retries", [2, 10])
def test_nobody_sleeps_where_anthropics_capacity_is_gone_for_long(proxy, retries):
    before = proxy.metric("keyweir_refusals_total", code="keys_temporarily_exhausted")
    with proxy.anthropic("anthropic-spent", max_retries=retries) as client:
        seconds, error = took(lambda: message(client), anthropic.RateLimitError)
    assert seconds < 5
    assert error.body["error"]["type"] == "rate_limit_error"
    assert error.body["error"]["message"].startswith("keys_temporarily_exhausted: ")
    assert error.request_id == error.body["request_id"]
    assert gone_for_long(error.response.headers)
    after = proxy.metric("keyweir_refusals_total", code="keys_temporarily_exhausted")
    assert after - before == 1, "the SDK did not ask again"


def test_nobody_sleeps_where_geminis_capacity_is_gone_for_long(proxy):
    seconds, error = took(lambda: generate(proxy.gemini("gemini-spent")), errors.ClientError)
    assert seconds < 5
    assert (error.code, error.status) == (429, "RESOURCE_EXHAUSTED")
    assert reason(error) == "keys_temporarily_exhausted"
    assert gone_for_long(error.response.headers)


def gone_for_long(headers):
    at = datetime.fromisoformat(headers["x-keyweir-retry-at"])
    return (
        headers["x-should-retry"] == "false"
        and "retry-after" not in headers
        and "retry-after-ms" not in headers
        and (at - datetime.now(timezone.utc)).total_seconds() > 60
    )


# Capacity that comes back soon.


def test_openais_sdk_comes_back_when_it_is_told(proxy, simulator):
    with proxy.openai(max_retries=2) as client, simulator.limited("openai", "gpt-4o-obeys", 2500):
        begun = time.monotonic()
        answer = chat(client, "gpt-4o-obeys", extra_headers=AT_ONCE)
        seconds = time.monotonic() - begun
    assert answer.choices and 2.3 < seconds < 10


def test_anthropics_sdk_comes_back_when_it_is_told(proxy, simulator):
    model = "claude-sonnet-5-5-obeys"
    with proxy.anthropic(max_retries=2) as client, simulator.limited("anthropic", model, 3000):
        begun = time.monotonic()
        answer = message(client, model, extra_headers=AT_ONCE)
        seconds = time.monotonic() - begun
    assert answer.content and 2.8 < seconds < 10


def test_the_moment_is_told_in_every_way(proxy, simulator):
    # Longer than anyone here waits.
    with simulator.limited("openai", "gpt-4o-impatient", 50_000):
        with proxy.openai(max_retries=0) as client:
            seconds, error = took(lambda: chat(client, "gpt-4o-impatient"), openai.RateLimitError)
    headers = error.response.headers
    assert seconds < 5, "a wait past the deadline is refused at once"
    assert (error.code, error.response.headers["x-keyweir-error"]) == (
        "keys_temporarily_exhausted", "keys_temporarily_exhausted",
    )
    assert 40_000 < int(headers["retry-after-ms"]) <= 51_000
    assert int(headers["retry-after"]) == -(-int(headers["retry-after-ms"]) // 1000)
    assert "x-should-retry" not in headers
    until = datetime.fromisoformat(headers["x-keyweir-retry-at"]) - datetime.now(timezone.utc)
    assert 40 < until.total_seconds() < 51
    assert "openai/gpt-4o-impatient" in error.message and '"main"' in error.message


def test_a_client_that_says_how_long_it_waits_is_told_within_that_time(
    openai_client, anthropic_client, simulator
):
    """They send their timeout along, and would give up rather than hear of the limit."""
    with simulator.limited("openai", "gpt-4o-impatient", 20_000):
        impatient = openai_client.with_options(timeout=3)
        seconds, _ = took(lambda: chat(impatient, "gpt-4o-impatient"), openai.RateLimitError)
        assert seconds < 3
    model = "claude-sonnet-5-5-impatient"
    with simulator.limited("anthropic", model, 20_000):
        impatient = anthropic_client.with_options(timeout=3)
        seconds, _ = took(lambda: message(impatient, model), anthropic.RateLimitError)
        assert seconds < 3


def test_geminis_timeout_is_a_deadline_too(proxy, simulator):
    model = "gemini-2.5-flash-impatient"
    with simulator.limited("gemini", model, 20_000):
        client = proxy.gemini(timeout=3000)
        seconds, error = took(lambda: generate(client, model), errors.ClientError)
    assert seconds < 3 and reason(error) == "keys_temporarily_exhausted"
    assert any(detail["@type"].endswith("RetryInfo") for detail in details(error))


# Every other refusal, by the class that it has in the SDK.


def test_no_valid_key(proxy):
    with proxy.openai("openai-dead", max_retries=0, default_headers=AT_ONCE) as client:
        _, error = took(lambda: chat(client), openai.InternalServerError)
        assert (error.status_code, error.code) == (503, "keys_invalid")
    with proxy.anthropic("anthropic-dead", max_retries=0, default_headers=AT_ONCE) as client:
        _, error = took(lambda: message(client), anthropic.InternalServerError)
        assert error.status_code == 503 and code(error) == "keys_invalid"
    client = proxy.gemini("gemini-dead", headers=AT_ONCE)
    _, error = took(lambda: generate(client), errors.ServerError)
    assert (error.code, reason(error)) == (503, "keys_invalid")


def test_nobody_listens(proxy):
    with proxy.openai("openai-down", max_retries=0, default_headers=AT_ONCE) as client:
        _, error = took(lambda: chat(client), openai.InternalServerError)
        assert (error.status_code, error.code) == (503, "providers_unavailable")
    with proxy.anthropic("anthropic-down", max_retries=0, default_headers=AT_ONCE) as client:
        _, error = took(lambda: message(client), anthropic.InternalServerError)
        assert error.status_code == 503 and code(error) == "providers_unavailable"
    client = proxy.gemini("gemini-down", headers=AT_ONCE)
    _, error = took(lambda: generate(client), errors.ServerError)
    assert (error.code, reason(error)) == (503, "providers_unavailable")


def test_a_request_that_no_limit_could_ever_hold(proxy):
    with proxy.openai("openai-small") as client:
        _, error = took(lambda: chat(client, max_tokens=5000), openai.BadRequestError)
        assert error.code == "request_exceeds_limit"
    with proxy.anthropic("anthropic-small") as client:
        _, error = took(lambda: message(client, max_tokens=5000), anthropic.BadRequestError)
        assert code(error) == "request_exceeds_limit"


def test_a_model_that_the_caller_may_not_use(openai_client, anthropic_client, proxy):
    guest = {"x-keyweir-caller": "guest"}
    _, error = took(lambda: chat(openai_client, extra_headers=guest), openai.PermissionDeniedError)
    assert error.code == "model_not_allowed"
    _, error = took(
        lambda: message(anthropic_client, extra_headers=guest), anthropic.PermissionDeniedError
    )
    assert code(error) == "model_not_allowed"
    _, error = took(lambda: generate(proxy.gemini(headers=guest)), errors.ClientError)
    assert (error.code, reason(error)) == (403, "model_not_allowed")


def test_a_body_over_the_bound(openai_client, anthropic_client, proxy):
    small = {"x-keyweir-caller": "small"}
    long = [{"role": "user", "content": "long " * 1000}]
    with pytest.raises(openai.APIStatusError) as error:
        openai_client.chat.completions.create(model="gpt-4o", messages=long, extra_headers=small)
    assert (error.value.status_code, error.value.code) == (413, "body_too_large")
    with pytest.raises(anthropic.ContentTooLargeError) as error:
        anthropic_client.messages.create(
            model="claude-sonnet-5-5", max_tokens=5, messages=long, extra_headers=small
        )
    assert code(error.value) == "body_too_large"
    client = proxy.gemini(headers=small)
    with pytest.raises(errors.ClientError) as error:
        client.models.generate_content(model="gemini-2.5-flash", contents="long " * 1000)
    assert (error.value.code, reason(error.value)) == (413, "body_too_large")


def test_paths_that_lead_nowhere(proxy, openai_client, anthropic_client):
    with proxy.openai("nobody") as client:
        _, error = took(lambda: chat(client), openai.NotFoundError)
        assert error.code == "unknown_provider"
    with proxy.anthropic("nobody") as client:
        _, error = took(lambda: message(client), anthropic.NotFoundError)
        assert code(error) == "unknown_provider"
    _, error = took(lambda: generate(proxy.gemini("nobody")), errors.ClientError)
    assert (error.code, reason(error)) == (404, "unknown_provider")
    _, error = took(lambda: openai_client.post("/no/such", cast_to=object), openai.NotFoundError)
    assert error.code == "unknown_path"
    _, error = took(
        lambda: anthropic_client.post("/v1/messages/no/such", cast_to=object),
        anthropic.NotFoundError,
    )
    assert code(error) == "unknown_path"


def test_what_a_model_of_another_format_cannot_be_asked(openai_client):
    model = "anthropic/claude-sonnet-5-5"
    def embed():
        openai_client.embeddings.create(model=model, input="Hello")

    _, error = took(embed, openai.BadRequestError)
    assert error.code == "invalid_request"


# The provider's own word, where that is the truer one.


def test_an_overloaded_provider_speaks_for_itself(openai_client, anthropic_client, proxy, simulator):
    with simulator.fault("outage", status=503, model="gpt-4o-overloaded"):
        model = "gpt-4o-overloaded"
        _, error = took(
            lambda: chat(openai_client, model, extra_headers=AT_ONCE), openai.InternalServerError
        )
    assert error.status_code == 503 and "overloaded" in error.message
    model = "claude-sonnet-5-5-overloaded"
    with simulator.fault("outage", status=529, model=model):
        _, error = took(
            lambda: message(anthropic_client, model, extra_headers=AT_ONCE), anthropic.APIStatusError
        )
    assert (error.status_code, type(error).__name__) == (529, "OverloadedError")
    model = "gemini-2.5-flash-overloaded"
    with simulator.fault("outage", status=503, model=model):
        _, error = took(lambda: generate(proxy.gemini(headers=AT_ONCE), model), errors.ServerError)
    assert (error.code, error.status) == (503, "UNAVAILABLE")


@pytest.mark.parametrize(
    ("name", "value", "use"),
    [("retry-after", "7200", "long"), ("retry-after-ms", "7200000", "longer")],
)
def test_nobody_sleeps_because_an_overloaded_provider_says_so(proxy, simulator, name, value, use):
    answer = {"status": 503, "body": "{}", "headers": [(name, value)]}
    model = f"gpt-4o-{use}"
    with simulator.fault("answer", model=model, **answer):
        with proxy.openai(max_retries=2, default_headers=AT_ONCE) as client:
            seconds, error = took(lambda: chat(client, model), openai.APIStatusError)
    assert seconds < 20 and error.response.headers["x-should-retry"] == "false"
    model = f"claude-sonnet-5-5-{use}"
    with simulator.fault("answer", model=model, **answer):
        with proxy.anthropic(max_retries=2, default_headers=AT_ONCE) as client:
            seconds, error = took(lambda: message(client, model), anthropic.APIStatusError)
    assert seconds < 20 and error.response.headers["x-should-retry"] == "false"


def details(error):
    return error.details["error"]["details"]


def reason(error):
    """The code in Gemini's format."""
    infos = [detail for detail in details(error) if detail["@type"].endswith("ErrorInfo")]
    assert error.message.startswith(infos[0]["reason"] + ": ")
    return infos[0]["reason"]


def code(error):
    """The code in Anthropic's format."""
    return error.body["error"]["message"].split(": ")[0]
