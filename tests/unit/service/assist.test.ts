// Prompt assist with a local stand-in that speaks Ollama's protocol over a real socket.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { PromptAssistant } from '../../../src/service/assist.js';

type Handler = (
  body: { model: string; messages: { content: string }[] },
  response: ServerResponse,
  request: IncomingMessage,
) => void;

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function start(handler: Handler): Promise<PromptAssistant> {
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    handler(text ? JSON.parse(text) : {}, response, request);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return new PromptAssistant({ ollamaUrl: `http://127.0.0.1:${port}`, ollamaModel: 'gemma4:latest' });
}

/** The answer in pieces, as Ollama streams it. */
function stream(response: ServerResponse, text: string) {
  response.setHeader('Content-Type', 'application/x-ndjson');
  for (let i = 0; i < text.length; i += 7)
    response.write(
      `${JSON.stringify({ message: { role: 'assistant', content: text.slice(i, i + 7) }, done: false })}\n`,
    );
  response.end(`${JSON.stringify({ message: { role: 'assistant', content: '' }, done: true })}\n`);
}

const passthrough = (reason: RegExp) => ({
  prompt: 'a fox',
  tags: [],
  assisted: false,
  source: 'passthrough',
  reason: expect.stringMatching(reason),
});

describe('PromptAssistant', () => {
  it('expands with a streamed answer', async () => {
    const asked: string[] = [];
    const assistant = await start(({ model, messages }, response) => {
      asked.push(model, messages.at(-1)!.content);
      stream(response, JSON.stringify({ prompt: 'a red fox in golden light', tags: ['fox', 'golden hour'] }));
    });
    expect(await assistant.expand('a fox', { style: 'oil painting' })).toEqual({
      prompt: 'a red fox in golden light',
      tags: ['fox', 'golden hour'],
      assisted: true,
      source: 'ollama',
    });
    expect(asked).toEqual(['gemma4:latest', 'a fox\nStyle: oil painting']);
  });

  it.each<[string, Handler, RegExp]>([
    ['an answer that is not JSON', (_, response) => stream(response, 'Sure! Here is'), /not JSON/],
    ['an answer without a prompt', (_, response) => stream(response, '{"tags": []}'), /no prompt/],
    [
      'an answer that is too long',
      (_, response) => stream(response, 'x'.repeat(10_000)),
      /more than 4000 characters/,
    ],
    [
      'an error',
      (_, response) => response.writeHead(404).end('{"error": "model not found"}'),
      /model not found/,
    ],
    ['half an answer', (_, response) => response.write('{"message"') && response.destroy(), /./],
    ['an answer in no known protocol', (_, response) => response.end('hello'), /./],
  ])('passes the prompt through after %s', async (_, handler, reason) => {
    expect(await (await start(handler)).expand('a fox')).toEqual(passthrough(reason));
  });

  it('passes the prompt through when nobody listens', async () => {
    const assistant = new PromptAssistant({ ollamaUrl: 'http://127.0.0.1:9', ollamaModel: 'x' });
    expect(await assistant.expand('a fox')).toEqual(passthrough(/not reachable/));
    expect(await assistant.check()).toMatchObject({ reachable: false, model_available: false });
  });

  it('waits no longer than its timeout', async () => {
    const assistant = await start(() => {});
    expect(await assistant.expand('a fox', { timeoutMs: 50 })).toEqual(
      passthrough(/did not answer within 0.05 s/),
    );
  });

  it('stops when its caller aborts', async () => {
    const assistant = await start(() => {});
    await expect(assistant.expand('a fox', { signal: AbortSignal.timeout(50) })).rejects.toThrow();
  });

  it('sees which models Ollama has', async () => {
    const assistant = await start((_, response) => response.end('{"models": [{"name": "gemma4:latest"}]}'));
    expect(await assistant.check()).toMatchObject({
      reachable: true,
      model: 'gemma4:latest',
      model_available: true,
    });
  });
});
