// Knows whether Ollama answers without waiting for it: /health must be quick even when Ollama's host is not.
import type { PromptAssistant } from '../service/assist.js';

export type OllamaState = Awaited<ReturnType<PromptAssistant['check']>>;

const FRESH_MS = 5000;
/** How long a read may wait for the very first answer. Later reads take the last answer while the next one is pending. */
const FIRST_WAIT_MS = 20;

export class OllamaProbe {
  readonly #assistant: PromptAssistant;
  #state: OllamaState;
  #askedAt = Number.NEGATIVE_INFINITY;
  #first: Promise<void> | undefined;
  #asking = false;

  constructor(
    assistant: PromptAssistant,
    { ollamaUrl, ollamaModel }: { ollamaUrl: string; ollamaModel: string },
  ) {
    this.#assistant = assistant;
    this.#state = { reachable: false, url: ollamaUrl, model: ollamaModel, model_available: false };
  }

  async read(): Promise<OllamaState> {
    if (!this.#asking && performance.now() - this.#askedAt > FRESH_MS) {
      const asked = this.#ask();
      this.#first ??= asked;
    }
    await Promise.race([this.#first, sleep(FIRST_WAIT_MS)]);
    return { ...this.#state, url: withoutPassword(this.#state.url) };
  }

  async #ask(): Promise<void> {
    this.#askedAt = performance.now();
    this.#asking = true;
    this.#state = await this.#assistant.check();
    this.#asking = false;
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

function withoutPassword(address: string): string {
  const url = new URL(address);
  if (url.username === '' && url.password === '') return address;
  url.username = '';
  url.password = '';
  return url.href;
}
