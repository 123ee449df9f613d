// A field of a request is described once; from there it must reach every door that it is meant for.
import { Command } from 'commander';
import { afterAll, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { addImageOptions } from '../../../../src/cli/image-options.js';
import { createApp } from '../../../../src/http/app.js';
import { ImageService } from '../../../../src/service/image-service.js';
import { cacheKey } from '../../../../src/service/pictures/cache.js';
import { factsOf } from '../../../../src/service/request/field.js';
import { SIDECAR_FIELDS, toCamelCase } from '../../../../src/service/request/schema.js';
import { readConfig } from '../../../../src/shared/config.js';
import { makeFolder } from '../../../folder.js';

const folder = makeFolder('one-place');
const service = new ImageService({ config: readConfig({ env: {}, cwd: folder }) });
const app = createApp({ service });
afterAll(async () => {
  await app.close();
  await service.close();
});

const operations = ['generate', 'edit', 'inpaint'] as const;
const fieldsOf = (operation: (typeof operations)[number]) =>
  Object.entries<z.ZodType>(service.schemas[operation].shape);

interface ListedTool {
  name: string;
  inputSchema: { properties: Record<string, unknown> };
}

async function listTools(): Promise<ListedTool[]> {
  const response = await app.fetch(
    new Request('http://127.0.0.1/mcp', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2025-06-18',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }),
    }),
  );
  const text = await response.text();
  const line = text.split('\n').find((found) => found.startsWith('data: {')) ?? text;
  return JSON.parse(line.replace(/^data: /, '')).result.tools;
}

describe.each(operations)('every field of %s', (operation) => {
  it('is in the OpenAPI document', async () => {
    const document = await (await app.fetch(new Request('http://127.0.0.1/openapi.json'))).json();
    const name = { generate: 'GenerateRequest', edit: 'EditRequest', inpaint: 'InpaintRequest' }[operation];
    const listed = Object.keys(document.components.schemas[name].properties);
    expect(listed.sort()).toEqual(
      fieldsOf(operation)
        .map(([field]) => field)
        .sort(),
    );
  });

  it('is an argument of the MCP tool, if it is for agents', async () => {
    const tools = await listTools();
    const { properties } = tools.find(({ name }) => name === `${operation}_image`)!.inputSchema;
    const meant = fieldsOf(operation).filter(([, schema]) => factsOf(schema).agents);
    expect(Object.keys(properties).sort()).toEqual([...meant.map(([field]) => field), 'wait_seconds'].sort());
  });

  it('is an option of the command, unless it says otherwise', () => {
    const command = addImageOptions(new Command(operation).helpOption(false), operation);
    const flags = command.options.map(({ flags }) => flags);
    for (const [field, schema] of fieldsOf(operation)) {
      const { flag } = factsOf(schema);
      const expected = flag ?? `--${field.replaceAll('_', '-')}`;
      const found = flags.some(
        (given) => given === expected || given.startsWith(`${expected} `) || given === flag,
      );
      expect(found, `${field} as ${expected}`).toBe(flag !== null);
    }
  });
});

it('the parts of a model and the noise reach MCP', () => {
  const offered = fieldsOf('generate').filter(([, schema]) => factsOf(schema).agents);
  for (const name of ['noise', 'vae', 'tae', 'clip_l', 'clip_g', 't5xxl', 'llm'])
    expect(offered.map(([field]) => field)).toContain(name);
});

it('what the sidecar tells is part of the cache key', () => {
  const request = { prompt: 'x' } as never;
  const weights = { identities: [], device: 'cpu' };
  const plain = cacheKey(request, 1, weights);
  for (const name of SIDECAR_FIELDS)
    expect(cacheKey({ prompt: 'x', [toCamelCase(name)]: 'changed' } as never, 1, weights), name).not.toBe(
      plain,
    );
});
