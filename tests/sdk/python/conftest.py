"""Clients of the three SDKs, and the simulator's own switches."""

import contextlib
import json
import os
import urllib.request

import anthropic
import openai
import pytest
from google import genai
from google.genai import types


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

    def tally(self):
        return self.call("GET", "tally")


@pytest.fixture
def simulator():
    return Simulator(os.environ["KEYWEIR_SIMULATOR"])
