// Opens a server on a free loopback port over the real service, engine client, host and pipeline. The networks are the
// embedded model's if it and the addon are there, else those of the fake addon from the engine's tests.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { EngineClient } from '../../src/engine/client.js';
import { type HttpServer, startServer } from '../../src/http/server.js';
import { ImageService } from '../../src/service/image-service.js';
import { readConfig } from '../../src/shared/config.js';
import { testModel } from '../test-model.js';

export interface TestServer extends HttpServer {
  service: ImageService;
  /** Holds outputs/ and cache/. */
  folder: string;
  get(path: string, init?: RequestInit): Promise<Response>;
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
}

export interface TestServerOptions {
  env?: Record<string, string>;
  /** Query for the fake addon: 'step=50', 'crash=2' … */
  behaviour?: string;
}

const open: { server: HttpServer; folder: string }[] = [];

afterAll(async () => {
  for (const { server, folder } of open.splice(0)) {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

export function makeConfig(folder: string, env: Record<string, string> = {}) {
  return readConfig({
    directory: folder,
    env: {
      PORT: '0',
      IMAGEFORGE_MODEL: testModel.model,
      IMAGEFORGE_MODEL_DIR: join(folder, 'models'),
      HF_HOME: join(folder, 'hub'),
      OLLAMA_URL: 'http://127.0.0.1:2',
      DEVICE: 'cpu',
      ...env,
    },
  });
}

export function fakeEngine(behaviour = ''): EngineClient {
  const binding = new URL(`../unit/engine/fake-addon.mjs?${behaviour}`, import.meta.url).href;
  return new EngineClient({ binding });
}

export async function openServer({ env = {}, behaviour = '' }: TestServerOptions = {}): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'imageforge-http-'));
  const config = makeConfig(folder, env);
  const service = new ImageService({ config, confine: true, client: fakeEngine(behaviour) });
  const server = await startServer({ service });
  open.push({ server, folder });
  const get = (path: string, init?: RequestInit) => fetch(`${server.url}${path}`, init);
  const post = (path: string, body: unknown, init: RequestInit = {}) =>
    get(path, {
      method: 'POST',
      body: JSON.stringify(body),
      ...init,
      headers: { 'Content-Type': 'application/json', ...init.headers },
    });
  return { ...server, service, folder, get, post };
}

/** The request of these tests: small and fast. */
export const fox = { prompt: 'a red fox', width: 64, height: 64, steps: 4, seed: 42 };

export interface ServerEvent {
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into it
  data: any;
  id: number;
}

/** Reads every event of a stream until it ends. */
export async function readEvents(
  response: Response,
  until?: (event: ServerEvent) => boolean,
): Promise<ServerEvent[]> {
  const events: ServerEvent[] = [];
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body!) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const fields = Object.fromEntries(
        text
          .slice(0, end)
          .split('\n')
          .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
      );
      text = text.slice(end + 2);
      if (!fields.event) continue;
      const event = { event: fields.event, data: JSON.parse(fields.data!), id: Number(fields.id) };
      events.push(event);
      if (until?.(event)) return events;
    }
  }
  return events;
}
