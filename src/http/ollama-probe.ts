// Whether Ollama answers, known without waiting for it: /health must be quick also when Ollama's host is not.
import type { PromptAssistant } from '../service/assist.js';

export type OllamaState = Awaited<ReturnType<PromptAssistant['check']>>;

const FRESH_MS = 5000;
/** How long the first question may wait for the first answer. */
const FIRST_WAIT_MS = 30;

export class OllamaProbe {
  readonly #assistant: PromptAssistant;
  #state: OllamaState;
  #askedAt = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;

  constructor(
    assistant: PromptAssistant,
    { ollamaUrl, ollamaModel }: { ollamaUrl: string; ollamaModel: string },
  ) {
    this.#assistant = assistant;
    this.#state = { reachable: false, url: ollamaUrl, model: ollamaModel, model_available: false };
  }

  async read(): Promise<OllamaState> {
    if (performance.now() - this.#askedAt > FRESH_MS) this.#ask();
    if (this.#asking) await Promise.race([this.#asking, sleep(FIRST_WAIT_MS)]);
    return { ...this.#state, url: withoutPassword(this.#state.url) };
  }

  #ask(): void {
    this.#askedAt = performance.now();
    this.#asking = this.#assistant.check().then((state) => {
      this.#state = state;
      this.#asking = undefined;
    });
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
