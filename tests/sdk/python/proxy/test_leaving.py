"""Clients that leave, or give up: the provider's answer ends with them."""

import anthropic
import openai
import pytest

HELLO = [{"role": "user", "content": "sim:tokens=400"}]


@pytest.fixture
def left(proxy, simulator, until):
    """Waits until a client that leaves has been noticed by proxy and provider."""
    cancelled = proxy.metric("keyweir_requests_total", outcome="cancelled")
    abandoned = simulator.abandoned()

    def check():
        until(lambda: proxy.metric("keyweir_requests_total", outcome="cancelled") > cancelled)
        until(lambda: simulator.abandoned() > abandoned)

    return check


def test_an_openai_stream_that_is_left(openai_client, simulator, left):
    with simulator.faults("openai", "stallStream", after=3):
        stream = openai_client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        assert next(stream).choices
        stream.close()
    left()


def test_an_anthropic_stream_that_is_left(anthropic_client, simulator, left):
    with simulator.faults("anthropic", "stallStream", after=3):
        with anthropic_client.messages.stream(
            model="claude-sonnet-5-5", max_tokens=500, messages=HELLO
        ) as stream:
            next(stream)
    left()


def test_a_gemini_stream_that_is_left(gemini_client, simulator, left):
    with simulator.faults("gemini", "stallStream", after=3):
        stream = gemini_client.models.generate_content_stream(
            model="gemini-2.5-flash", contents="sim:tokens=400"
        )
        next(stream)
        stream.close()
    left()


def test_a_client_that_gives_up_before_the_answer(
    openai_client, anthropic_client, proxy, simulator, until
):
    before = proxy.metric("keyweir_requests_total", outcome="cancelled")
    with simulator.faults("openai", "stallHeaders"):
        with pytest.raises(openai.APITimeoutError):
            openai_client.with_options(timeout=0.5).chat.completions.create(
                model="gpt-4o-slow", messages=HELLO
            )
    with simulator.faults("anthropic", "stallHeaders"):
        with pytest.raises(anthropic.APITimeoutError):
            anthropic_client.with_options(timeout=0.5).messages.create(
                model="claude-sonnet-5-5-slow", max_tokens=50, messages=HELLO
            )
    until(lambda: proxy.metric("keyweir_requests_total", outcome="cancelled") >= before + 2)
