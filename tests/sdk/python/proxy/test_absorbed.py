"""What goes wrong at a provider, and an application behind the proxy does not see."""

import asyncio
import os
import time

import openai
import pytest

HELLO = [{"role": "user", "content": "Hello"}]


def ask_openai(client, model="gpt-4o", **options):
    return client.chat.completions.with_raw_response.create(model=model, messages=HELLO, **options)


def ask_anthropic(client, model="claude-sonnet-5-5", **options):
    return client.messages.with_raw_response.create(
        model=model, max_tokens=50, messages=HELLO, **options
    )


def ask_gemini(client, model="gemini-2.5-flash"):
    return client.models.generate_content(model=model, contents="Hello").sdk_http_response


@pytest.fixture(params=["openai", "anthropic", "gemini"])
def ask(request, openai_client, anthropic_client, gemini_client):
    """The provider's name, and a function that asks a variant of its model without retries."""
    way, client, model = {
        "openai": (ask_openai, openai_client, "gpt-4o"),
        "anthropic": (ask_anthropic, anthropic_client, "claude-sonnet-5-5"),
        "gemini": (ask_gemini, gemini_client, "gemini-2.5-flash"),
    }[request.param]
    return request.param, model, lambda model: way(client, model).headers


def test_a_dead_key_is_never_seen(ask):
    _, model, asked = ask
    keys = {asked(model)["x-keyweir-key"] for _ in range(20)}
    assert "dead" not in keys and len(keys) > 1


def test_who_answered_is_told(ask):
    provider, model, asked = ask
    headers = asked(model)
    assert headers["x-keyweir-provider"] == provider
    assert headers["x-keyweir-model"] == model
    assert int(headers["x-keyweir-attempts"]) >= 1


def test_another_group_serves_while_one_is_limited(ask, simulator):
    provider, model, asked = ask
    model = f"{model}-limited"
    with simulator.fault("rateLimited", account=provider, model=model, retryAfterMs=60_000):
        begun = time.monotonic()
        keys = {asked(model)["x-keyweir-key"] for _ in range(10)}
    assert keys == {"three"} and time.monotonic() - begun < 10


def test_another_group_serves_while_one_fails(ask, simulator):
    provider, model, asked = ask
    model = f"{model}-failing"
    with simulator.fault("outage", status=503, account=provider, model=model):
        keys = {asked(model)["x-keyweir-key"] for _ in range(10)}
    assert keys == {"three"}


def test_another_group_serves_while_one_hangs_up(ask, simulator):
    provider, model, asked = ask
    model = f"{model}-failing"
    with simulator.fault("hangUp", account=f"{provider}-other", model=model):
        keys = {asked(model)["x-keyweir-key"] for _ in range(10)}
    assert keys <= {"one", "two"}


def test_a_wait_within_the_deadline_is_not_seen(ask, simulator):
    provider, model, asked = ask
    model = f"{model}-waits"
    with simulator.limited(provider, model, 1500):
        begun = time.monotonic()
        headers = asked(model)
        took = time.monotonic() - begun
    assert 1.4 < took < 10
    assert int(headers["x-keyweir-queued-ms"]) >= 1000
    # One in each group and one after the wait; perhaps the dead key's last chance.
    assert int(headers["x-keyweir-attempts"]) in {3, 4}


def test_a_burst_waits_as_one(simulator):
    """What waits together is served together, as soon as there is capacity."""

    async def burst(proxy_base):
        async with openai.AsyncOpenAI(
            base_url=proxy_base, api_key="placeholder", max_retries=0
        ) as client:
            asks = (
                client.chat.completions.create(
                    model="gpt-4o-waits", messages=[{"role": "user", "content": str(nth)}]
                )
                for nth in range(40)
            )
            return [answer.choices[0].message.content for answer in await asyncio.gather(*asks)]

    with simulator.limited("openai", "gpt-4o-waits", 1000):
        begun = time.monotonic()
        answers = asyncio.run(burst(os.environ["KEYWEIR_OPENAI_BASE"]))
        took = time.monotonic() - begun
    assert answers == [f"You said: {nth}" for nth in range(40)]
    assert took < 15
