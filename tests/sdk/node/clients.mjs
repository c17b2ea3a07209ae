// Clients of the three SDKs, and the simulator's own switches.

import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";

const { env } = process;

export const openai = new OpenAI({
  baseURL: env.KEYWEIR_OPENAI_BASE,
  apiKey: env.KEYWEIR_OPENAI_KEY,
  maxRetries: 0,
});

export const anthropic = new Anthropic({
  baseURL: env.KEYWEIR_ANTHROPIC_BASE,
  apiKey: env.KEYWEIR_ANTHROPIC_KEY,
  maxRetries: 0,
});

export const gemini = new GoogleGenAI({
  apiKey: env.KEYWEIR_GEMINI_KEY,
  httpOptions: { baseUrl: env.KEYWEIR_GEMINI_BASE },
});

async function call(method, path, body) {
  const answer = await fetch(`${env.KEYWEIR_SIMULATOR}/_sim/${path}`, {
    method,
    body: body && JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${await answer.text()}`);
  return answer.json();
}

// Does something while something is broken.
export async function withFault(fault, work) {
  const { id } = await call("POST", "faults", fault);
  try {
    return await work();
  } finally {
    await call("DELETE", `faults/${id}`);
  }
}

export async function all(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}
