// Clients of the three SDKs, the simulator's own switches, and the proxy where there is one.

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

// Clients of the proxy's own doors, among them those of pools that cannot serve:
// `{provider}-dead`, `-spent`, `-down` and `-small`.
export const through = {
  openai: (provider, options) =>
    new OpenAI({
      baseURL: `${env.KEYWEIR_PROXY}/${provider}/v1`,
      apiKey: "placeholder",
      ...options,
    }),
  anthropic: (provider, options) =>
    new Anthropic({
      baseURL: `${env.KEYWEIR_PROXY}/${provider}`,
      apiKey: "placeholder",
      ...options,
    }),
  gemini: (provider, options) =>
    new GoogleGenAI({
      apiKey: "placeholder",
      httpOptions: { baseUrl: `${env.KEYWEIR_PROXY}/${provider}`, ...options },
    }),
};

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

// Does something while something is broken in both of the pool's accounts.
export async function withFaults(provider, fault, work) {
  return withFault({ ...fault, account: provider }, () =>
    withFault({ ...fault, account: `${provider}-other` }, work),
  );
}

// Does something after one rate limit in each of them.
export async function whileLimited(provider, model, retryAfterMs, work) {
  return withFaults(provider, { kind: "rateLimited", model, retryAfterMs, times: 1 }, work);
}

// How many answers the simulator's clients did not stay for.
export async function abandoned() {
  const { accounts } = await call("GET", "tally");
  return Object.values(accounts).reduce((sum, account) => sum + account.abandoned, 0);
}

// The sum of a metric's series that carry this label.
export async function metric(name, label, value) {
  const page = await (await fetch(`${env.KEYWEIR_ADMIN}/metrics`)).text();
  const series = page.split("\n").filter((line) => line.split(/[{ ]/)[0] === name);
  return series
    .filter((line) => line.includes(`${label}="${value}"`))
    .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

// Asks until something is so.
export async function until(probe) {
  const end = performance.now() + 20_000;
  while (!(await probe())) {
    if (performance.now() > end) throw new Error("never so");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

// How long that took, in milliseconds.
export async function took(work) {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

// How long that took to be refused, in milliseconds, and with what.
export async function refused(work, expected) {
  const begun = performance.now();
  try {
    await work();
  } catch (error) {
    if (!(error instanceof expected)) throw error;
    return { millis: performance.now() - begun, error };
  }
  throw new Error(`no ${expected.name}`);
}

export async function all(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}
