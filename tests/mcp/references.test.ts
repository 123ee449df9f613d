// Reference pictures over MCP: the program's own servers, the real engine, and FLUX.2 klein by its key in the catalogue,
// whose files are the small networks of the golden cases.
import { spawn } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cleanEnvironment, main } from '../cli/run-cli.js';
import { makeFolder } from '../folder.js';
import { goldenCase } from '../golden.js';
import { filesOfKlein } from '../golden-plans.js';

const folder = makeFolder('mcp-references');
const red = path.join(folder, 'pictures', 'red.png');
const { PATH = '', ...environment } = cleanEnvironment(folder);
const env = {
  ...environment,
  PATH,
  IMAGEFORGE_MODEL_DIR: path.join(folder, 'models'),
  ALLOW_KLEIN: '1',
  ALLOWED_PATHS: path.dirname(red),
};

beforeAll(async () => {
  mkdirSync(path.dirname(red));
  await sharp({ create: { width: 50, height: 40, channels: 3, background: 'red' } })
    .png()
    .toFile(red);
  mkdirSync(env.IMAGEFORGE_MODEL_DIR);
  const { model, vae } = filesOfKlein();
  for (const [file, name] of [
    [model, 'flux-2-klein-4b.safetensors'],
    [vae, 'flux2-vae.safetensors'],
    [goldenCase('flux2-text-qwen3').weights('gguf'), 'Qwen3-4B-Q8_0.gguf'],
  ] as const)
    copyFileSync(file, path.join(env.IMAGEFORGE_MODEL_DIR, name));
});

/** A transport to its own server, and a function that ends the server. */
const servers = {
  async stdio() {
    const options = { command: process.execPath, args: [main, 'mcp'], cwd: folder, env };
    return { transport: new StdioClientTransport({ ...options, stderr: 'ignore' }), stop: () => {} };
  },
  async http() {
    const server = spawn(process.execPath, [main, 'serve', '--port', '0'], {
      cwd: folder,
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const url = await new Promise<string>((resolve) =>
      server.stderr.on('data', (data) => {
        const [found] = /http:\S+\d/.exec(String(data)) ?? [];
        if (found) resolve(found);
      }),
    );
    const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`));
    return { transport, stop: () => server.kill('SIGKILL') };
  },
};

describe.each(['stdio', 'http'] as const)('over %s', (way) => {
  const client = new Client({ name: 'test', version: '1' });
  let stop = () => {};
  beforeAll(async () => {
    const server = await servers[way]();
    stop = server.stop;
    await client.connect(server.transport);
  });
  afterAll(async () => {
    await client.close();
    stop();
  });

  const generate = async (fields: Record<string, unknown>) => {
    const size = { width: 64, height: 64, steps: 1, seed: 1, use_cache: false };
    const answer = await client.callTool({
      name: 'generate_image',
      arguments: { prompt: 'a fox', ...size, ...fields },
    });
    const text = answer.content.find((block) => block.type === 'text')?.text ?? '';
    return { text, facts: answer.structuredContent as { status?: string; output_path?: string } };
  };
  const draw = async (fields: Record<string, unknown>) => {
    const { text, facts } = await generate({ model: 'flux2-klein', ...fields });
    expect([facts?.status, text]).toEqual(['done', expect.stringContaining('"model": "flux2-klein"')]);
    return { file: facts.output_path!, pixels: await sharp(facts.output_path).raw().toBuffer() };
  };

  it('each picture counts, from a path, from the output folder, or in the call', async () => {
    const none = await draw({});
    const one = await draw({ reference_paths: [red] });
    const two = await draw({ reference_paths: [red, none.file] });
    const blue = sharp({ create: { width: 32, height: 64, channels: 3, background: 'blue' } }).png();
    const sent = await draw({ reference_images: [(await blue.toBuffer()).toString('base64')] });
    const pictures = [none, one, two, sent].map(({ pixels }) => pixels.toString('base64'));
    expect(new Set(pictures).size).toBe(4);
    expect((await draw({ reference_paths: [red] })).pixels).toEqual(one.pixels);
  }, 120_000);

  it('forbidden paths, and models that take no references, are refused', async () => {
    const taken = await generate({ model: 'flux2-klein', reference_paths: ['/etc/hostname'] });
    expect(taken.text).toMatch(/FORBIDDEN[\s\S]*Hint: .*ALLOWED_PATHS/);
    const refused = await generate({ reference_paths: [red] });
    expect(refused.text).toMatch(/takes no reference pictures[\s\S]*FLUX\.2 and FLUX\.1 Kontext/);
  });
});
