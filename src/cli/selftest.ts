// The self-test talks to `imageforge mcp` over pipes like any client: newline-delimited JSON-RPC.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ImageForgeError } from '../shared/errors.js';
import { readVersion } from '../shared/version.js';

const PROTOCOL = '2025-06-18';
const ANSWER_MS = 30_000;
const IMAGE_MS = 3600_000;

interface ToolAnswer {
  content: { type: string; text?: string; data?: string; mimeType?: string }[];
  isError?: boolean;
}

type Say = (line: string) => void;

/** Says line by line what passed. @throws ImageForgeError at the first failure. */
export async function runSelftest({ generate, say }: { generate: boolean; say: Say }): Promise<void> {
  const client = new PipeClient(fileURLToPath(new URL('./main.js', import.meta.url)));
  try {
    const { serverInfo } = await client.ask<{ serverInfo: { name: string; version: string } }>('initialize', {
      protocolVersion: PROTOCOL,
      capabilities: {},
      clientInfo: { name: 'imageforge-selftest', version: readVersion() },
    });
    client.tell('notifications/initialized');
    say(`initialize ok: ${serverInfo.name} v${serverInfo.version}`);

    const { tools } = await client.ask<{ tools: { name: string }[] }>('tools/list', {});
    say(`list_tools -> ${quoteList(tools.map(({ name }) => name))}`);

    const models = textOf(await client.call('list_models', {}));
    require(models.includes('"sd-turbo"'), 'list_models does not name sd-turbo');
    say('list_models ok (sd-turbo present)');

    const { prompt, assisted, source } = JSON.parse(
      textOf(await client.call('assist_prompt', { prompt: 'a red fox' })),
    );
    require(typeof prompt === 'string' && prompt !== '', 'assist_prompt returned no prompt');
    const shown = [`"prompt": ${JSON.stringify(prompt)}`, `"assisted": ${assisted}`, `"source": "${source}"`];
    say(`assist_prompt ok: {${shown.join(', ')}}`);

    if (generate) await tryGeneration(client, say);
    say('ALL PASS');
  } finally {
    await client.close();
  }
}

async function tryGeneration(client: PipeClient, say: Say): Promise<void> {
  say('generate_image (this loads a model; may take a while)...');
  const request = { prompt: 'a large red star above a small blue house', seed: 42, wait_seconds: 3600 };
  const answer = await client.call('generate_image', request, IMAGE_MS);
  say(`generate_image -> content kinds: ${quoteList(answer.content.map(({ type }) => type))}`);
  const image = answer.content.find(({ type }) => type === 'image');
  const bytes = Buffer.from(image?.data ?? '', 'base64');
  require(bytes.length > 0, 'generate_image returned no image');
  const kind = image?.mimeType === 'image/png' ? 'PNG' : 'JPEG';
  say(`generate_image ok: ${bytes.length} bytes ${kind}, mime=${image?.mimeType}`);
}

class PipeClient {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #nextId = 1;

  constructor(entry: string) {
    this.#child = spawn(process.execPath, [entry, 'mcp'], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.stdin!.on('error', () => undefined);
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.#receive(line));
    this.#exited = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.#rejectAll(`the server ended (${signal ?? `exit code ${code}`})`);
        resolve();
      });
    });
  }

  tell(method: string): void {
    this.#send({ jsonrpc: '2.0', method });
  }

  async ask<T>(method: string, params: object, limitMs = ANSWER_MS): Promise<T> {
    const id = this.#nextId++;
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    const timer = setTimeout(
      () => this.#rejectAll(`${method} was not answered in ${limitMs / 1000} s`),
      limitMs,
    );
    this.#send({ jsonrpc: '2.0', id, method, params });
    try {
      return (await answer) as T;
    } finally {
      clearTimeout(timer);
    }
  }

  async call(name: string, args: object, limitMs?: number): Promise<ToolAnswer> {
    const answer = await this.ask<ToolAnswer>('tools/call', { name, arguments: args }, limitMs);
    require(!answer.isError, `${name}: ${answer.content[0]?.text}`);
    return answer;
  }

  /** Ends the server as clients do: closes its stdin, and kills it only if that does not help. */
  async close(): Promise<void> {
    this.#child.stdin!.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await this.#exited;
    clearTimeout(timer);
  }

  #send(message: object): void {
    this.#child.stdin!.write(`${JSON.stringify(message)}\n`);
  }

  #receive(line: string): void {
    let message: { id?: number; result?: unknown; error?: { message: string } };
    try {
      message = JSON.parse(line) as typeof message;
    } catch {
      this.#rejectAll(`stdout carries something other than the protocol: ${line.slice(0, 200)}`);
      return;
    }
    const { id, result, error } = message;
    const waiting = id === undefined ? undefined : this.#waiting.get(id);
    if (id === undefined || !waiting) return;
    this.#waiting.delete(id);
    if (error) waiting.reject(failure(error.message));
    else waiting.resolve(result);
  }

  #rejectAll(message: string): void {
    for (const { reject } of this.#waiting.values()) reject(failure(message));
    this.#waiting.clear();
  }
}

function require(condition: boolean, message: string): asserts condition {
  if (!condition) throw failure(message);
}

function failure(message: string): ImageForgeError {
  return new ImageForgeError('INTERNAL', `The self-test failed: ${message}.`);
}

function textOf({ content }: ToolAnswer): string {
  return content.find(({ type }) => type === 'text')?.text ?? '';
}

/** "['one', 'two']" */
function quoteList(names: string[]): string {
  return `[${names.map((name) => `'${name}'`).join(', ')}]`;
}
