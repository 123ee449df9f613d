// Prompt assist: Ollama expands a short prompt. If anything goes wrong, the prompt passes through unchanged and the result
// says why.
import type { Config } from '../shared/config.js';

export interface AssistResult {
  prompt: string;
  tags: string[];
  assisted: boolean;
  source: 'ollama' | 'passthrough';
  /** Why the prompt was not expanded. */
  reason?: string;
}

export interface AssistOptions {
  style?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Default 30 s. */
  timeoutMs?: number;
}

const MAX_ANSWER = 4000;
const INSTRUCTION =
  'You expand a short request into one prompt for an image model. Describe subject, setting, light, composition and ' +
  'style in one English paragraph of at most 70 words. Keep everything that the request names, add no text to the ' +
  'picture. Answer with JSON: {"prompt": "...", "tags": ["...", "..."]} with at most 8 tags.';

export class PromptAssistant {
  readonly #url: string;
  readonly #model: string;

  constructor({ ollamaUrl, ollamaModel }: Pick<Config, 'ollamaUrl' | 'ollamaModel'>) {
    this.#url = ollamaUrl;
    this.#model = ollamaModel;
  }

  /** Throws only when `signal` fires. */
  async expand(
    prompt: string,
    { style, signal, timeoutMs = 30_000 }: AssistOptions = {},
  ): Promise<AssistResult> {
    try {
      const answer = await this.#ask(
        style ? `${prompt}\nStyle: ${style}` : prompt,
        withTimeout(signal, timeoutMs),
      );
      return { ...readAnswer(answer), assisted: true, source: 'ollama' };
    } catch (error) {
      signal?.throwIfAborted();
      return {
        prompt,
        tags: [],
        assisted: false,
        source: 'passthrough',
        reason: this.#explain(error, timeoutMs),
      };
    }
  }

  /** For /health and `imageforge doctor`: a quick check that takes at most a second. */
  async check(): Promise<{ reachable: boolean; url: string; model: string; model_available: boolean }> {
    const facts = { url: this.#url, model: this.#model };
    try {
      const { models } = await (await this.#connect(AbortSignal.timeout(1000))).list();
      const names = models.map(({ name }) => name);
      const model_available = names.includes(this.#model) || names.includes(`${this.#model}:latest`);
      return { reachable: true, ...facts, model_available };
    } catch {
      return { reachable: false, ...facts, model_available: false };
    }
  }

  async #ask(content: string, signal: AbortSignal): Promise<string> {
    const client = await this.#connect(signal);
    const parts = await client.chat({
      model: this.#model,
      messages: [
        { role: 'system', content: INSTRUCTION },
        { role: 'user', content },
      ],
      format: 'json',
      stream: true,
    });
    let answer = '';
    for await (const { message } of parts) {
      answer += message.content;
      if (answer.length > MAX_ANSWER) throw new Error(`its answer has more than ${MAX_ANSWER} characters`);
    }
    return answer;
  }

  async #connect(signal: AbortSignal): Promise<import('ollama').Ollama> {
    const { Ollama } = await import('ollama');
    return new Ollama({ host: this.#url, fetch: (url, init) => fetchChecked(url, { ...init, signal }) });
  }

  #explain(error: unknown, timeoutMs: number): string {
    const { name, message, cause } = error as Error & { cause?: { code?: string; message: string } };
    if (name === 'TimeoutError') return `Ollama at ${this.#url} did not answer within ${timeoutMs / 1000} s`;
    if (cause) return `Ollama at ${this.#url} is not reachable (${cause.code ?? cause.message})`;
    return `Ollama at ${this.#url}: ${message}`;
  }
}

/** Reads error responses itself, since the library would print some of them to stdout. */
async function fetchChecked(url: Parameters<typeof fetch>[0], init: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  if (response.ok) return response;
  const text = (await response.text()).slice(0, 300);
  const reason = /"error"\s*:\s*"([^"]*)"/.exec(text)?.[1] ?? text.trim();
  throw new Error(`${response.status} ${reason || response.statusText}`);
}

function readAnswer(answer: string): { prompt: string; tags: string[] } {
  let value: { prompt?: unknown; tags?: unknown };
  try {
    value = JSON.parse(answer) as typeof value;
  } catch {
    throw new Error('its answer is not JSON');
  }
  const { prompt, tags } = value ?? {};
  if (typeof prompt !== 'string' || prompt.trim() === '') throw new Error('its answer has no prompt');
  const words = Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string').slice(0, 8) : [];
  return { prompt: prompt.trim(), tags: words };
}

function withTimeout(signal: AbortSignal | undefined, timeoutMs: number): AbortSignal {
  const timeout = AbortSignal.timeout(timeoutMs);
  return signal ? AbortSignal.any([signal, timeout]) : timeout;
}
