// A request field is described once; from there it must reach every door that it is meant for.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Command } from 'commander';
import { beforeAll, describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { addImageOptions } from '../../src/cli/image-options.js';
import { cacheKey } from '../../src/service/pictures/cache.js';
import { factsOf } from '../../src/service/request/field.js';
import { createRequestSchemas, SIDECAR_FIELDS, toCamelCase } from '../../src/service/request/schema.js';
import { openServer, type TestServer } from './open-server.js';

let server: TestServer;
beforeAll(async () => {
  server = await openServer();
});

const schemas = createRequestSchemas({ maxRes: 1024 });
const operations = ['generate', 'edit', 'inpaint'] as const;
const fieldsOf = (operation: (typeof operations)[number]) =>
  Object.entries<z.ZodType>(schemas[operation].shape);

async function listTools() {
  const client = new Client({ name: 'test', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(`${server.url}/mcp`)));
  try {
    return (await client.listTools()).tools;
  } finally {
    await client.close();
  }
}

describe.each(operations)('every field of %s', (operation) => {
  it('is in the OpenAPI document', async () => {
    const document = await (await server.get('/openapi.json')).json();
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
    expect(Object.keys(properties ?? {}).sort()).toEqual(
      [...meant.map(([field]) => field), 'wait_seconds'].sort(),
    );
  });

  it('is an option of the command, unless it says otherwise', () => {
    const command = addImageOptions(new Command(operation).helpOption(false), operation);
    const flags = command.options.map(({ flags }) => flags);
    const own = [
      '--no-cache',
      '--output',
      '--output-dir',
      '--force',
      '--preview',
      '--json',
      '--quiet',
      '--verbose',
    ];
    const meant = fieldsOf(operation).filter(([, schema]) => factsOf(schema).flag !== null);
    for (const [field, schema] of meant) {
      const expected = factsOf(schema).flag ?? `--${field.replaceAll('_', '-')}`;
      expect(
        flags.some((given) => given === expected || given.startsWith(`${expected} `)),
        expected,
      ).toBe(true);
    }
    expect(flags).toHaveLength(meant.length + own.length);
  });
});

it('the parts of a model and the noise reach MCP', () => {
  const offered = fieldsOf('generate').filter(([, schema]) => factsOf(schema).agents);
  for (const name of ['noise', 'vae', 'tae', 'clip_l', 'clip_g', 't5xxl', 'llm'])
    expect(offered.map(([field]) => field)).toContain(name);
});

it('every field that the sidecar records is part of the cache key', () => {
  const request = { prompt: 'x' } as never;
  const weights = { identities: [], device: 'cpu' };
  const plain = cacheKey(request, 1, weights);
  for (const name of SIDECAR_FIELDS)
    expect(cacheKey({ prompt: 'x', [toCamelCase(name)]: 'changed' } as never, 1, weights), name).not.toBe(
      plain,
    );
});
