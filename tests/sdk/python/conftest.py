"""Clients of the three SDKs, the simulator's own switches, and the proxy where there is one."""

import contextlib
import json
import os
import signal
import time
import urllib.request

import anthropic
import openai
import pytest
from google import genai
from google.genai import types

LONGEST_TEST = 60
"""Seconds: no SDK may sleep for hours."""


@pytest.fixture(autouse=True)
def _bound():
    def stop(*_):
        raise TimeoutError(f"a test took longer than {LONGEST_TEST} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST_TEST)
    yield
    signal.alarm(0)


@pytest.fixture
def openai_client():
    with openai.OpenAI(
        base_url=os.environ["KEYWEIR_OPENAI_BASE"],
        api_key=os.environ["KEYWEIR_OPENAI_KEY"],
        max_retries=0,
    ) as client:
        yield client


@pytest.fixture
def anthropic_client():
    with anthropic.Anthropic(
        base_url=os.environ["KEYWEIR_ANTHROPIC_BASE"],
        api_key=os.environ["KEYWEIR_ANTHROPIC_KEY"],
        max_retries=0,
    ) as client:
        yield client


@pytest.fixture
def gemini_client():
    return genai.Client(
        api_key=os.environ["KEYWEIR_GEMINI_KEY"],
        http_options=types.HttpOptions(base_url=os.environ["KEYWEIR_GEMINI_BASE"]),
    )


class Simulator:
    def __init__(self, url):
        self.url = url

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sim/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    @contextlib.contextmanager
    def fault(self, kind, **details):
        added = self.call("POST", "faults", {"kind": kind, **details})
        try:
            yield
        finally:
            self.call("DELETE", f"faults/{added['id']}")

    @contextlib.contextmanager
    def faults(self, provider, kind, **details):
        """The same in both of the pool's accounts."""
        with self.fault(kind, account=provider, **details):
            with self.fault(kind, account=f"{provider}-other", **details):
                yield

    def limited(self, provider, model, millis):
        """One rate limit in each of them."""
        details = {"model": model, "retryAfterMs": millis, "times": 1}
        return self.faults(provider, "rateLimited", **details)

    def tally(self):
        return self.call("GET", "tally")

    def abandoned(self):
        return sum(account["abandoned"] for account in self.tally()["accounts"].values())


@pytest.fixture
def simulator():
    return Simulator(os.environ["KEYWEIR_SIMULATOR"])


class Proxy:
    """The proxy, with its pools that cannot serve: `{provider}-dead`, `-spent`, `-down`, `-small`."""

    def __init__(self, root, admin):
        self.root, self.admin = root, admin

    def openai(self, provider="openai", **options):
        return openai.OpenAI(base_url=f"{self.root}/{provider}/v1", api_key="placeholder", **options)

    def anthropic(self, provider="anthropic", **options):
        return anthropic.Anthropic(
            base_url=f"{self.root}/{provider}", api_key="placeholder", **options
        )

    def gemini(self, provider="gemini", **options):
        return genai.Client(
            api_key="placeholder",
            http_options=types.HttpOptions(base_url=f"{self.root}/{provider}", **options),
        )

    def metric(self, name, **labels):
        """The sum of a metric's series that carry these labels."""
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        series = [line for line in lines if line.split("{")[0].split(" ")[0] == name]
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in series
            if all(pair in line for pair in wanted)
        )


@pytest.fixture
def proxy():
    return Proxy(os.environ["KEYWEIR_PROXY"], os.environ["KEYWEIR_ADMIN"])


@pytest.fixture
def until():
    """Asks until something is so."""

    def wait(probe):
        end = time.monotonic() + 20
        while not probe():
            assert time.monotonic() < end, "never so"
            time.sleep(0.01)

    return wait
