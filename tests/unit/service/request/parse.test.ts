import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type ImageOperation, parseRequest } from '../../../../src/service/request/parse.js';
import { createRequestSchemas } from '../../../../src/service/request/schema.js';
import type { ImageForgeError } from '../../../../src/shared/errors.js';

const schemas = createRequestSchemas({ maxRes: 1024, set: new Set(['MAX_RES']) });
const parse = (fields: unknown, operation: ImageOperation = 'generate') =>
  parseRequest(operation, fields, schemas);

function refusal(fields: unknown, operation: ImageOperation = 'generate'): ImageForgeError {
  try {
    parse(fields, operation);
  } catch (error) {
    return error as ImageForgeError;
  }
  throw new Error('it was accepted');
}

const PIXEL = Buffer.from([0x89, 0x50, 0x4e, 0x47]).toString('base64');

describe('parseRequest', () => {
  it('fills in defaults that do not depend on the model', () => {
    expect(parse({ prompt: 'a fox' })).toEqual({
      operation: 'generate',
      prompt: 'a fox',
      negativePrompt: '',
      parts: {},
      loras: [],
      embeddings: [],
      batch: 1,
      fastDecode: false,
      assistPrompt: false,
      useCache: true,
      returnMode: 'both',
      previewEvery: 0,
    });
  });

  it('takes LoRAs as a field and from the prompt', () => {
    const fields = { prompt: 'a fox <lora:ink:0.5>', loras: [{ path: 'film.safetensors' }] };
    expect(parse(fields)).toMatchObject({
      prompt: 'a fox',
      loras: [
        { path: 'film.safetensors', strength: 1 },
        { path: 'ink', strength: 0.5 },
      ],
    });
    const two = {
      prompt: 'a fox <lora:ink:0.5:0.8>',
      loras: [{ path: 'film', strength: 0.7, text_strength: 0 }],
    };
    expect(parse(two)).toMatchObject({
      loras: [
        { path: 'film', strength: 0.7, textStrength: 0 },
        { path: 'ink', strength: 0.8, textStrength: 0.5 },
      ],
    });
    expect(refusal({ prompt: '<lora:ink:very>' }).message).toContain('<lora:ink:very>');
  });

  it('takes both spellings, null and unknown fields', () => {
    const common = { prompt: 'a fox', seed: null, negative_prompt: null, colour: 'red' };
    for (const fields of [
      { guidance: 3, assist_prompt: true },
      { guidance_scale: 3, assist: true },
    ])
      expect(parse({ ...common, ...fields })).toMatchObject({
        guidance: 3,
        assistPrompt: true,
        seed: undefined,
      });
    expect(parse({ ...common, schedule: 'karras', scheduler: 'karras' }).schedule).toBe('karras');
    expect(refusal({ prompt: 'x', guidance: 1, guidance_scale: 2 }).message).toContain(
      'guidance and guidance_scale',
    );
  });

  it('takes an empty prompt, which makes the unconditional picture', () => {
    expect(parse({ prompt: '' }).prompt).toBe('');
  });

  it('takes seed -1 as random and 0 as a seed', () => {
    expect(parse({ prompt: 'x', seed: -1 }).seed).toBeUndefined();
    expect(parse({ prompt: 'x', seed: 0 }).seed).toBe(0);
  });

  it('takes a picture as base64, data URL or path, in every spelling', () => {
    const bytes = Buffer.from(PIXEL, 'base64');
    expect(parse({ prompt: 'x', init_image: PIXEL }, 'edit').init).toEqual({ bytes });
    expect(parse({ prompt: 'x', init_image: `data:image/png;base64,${PIXEL}` }, 'edit').init).toEqual({
      bytes,
    });
    expect(parse({ prompt: 'x', init_image_path: 'a.png' }, 'edit').init).toEqual({ path: 'a.png' });
    const inpaint = parse({ prompt: 'x', image_path: 'a.png', mask_path: 'm.png' }, 'inpaint');
    expect(inpaint).toMatchObject({ init: { path: 'a.png' }, mask: { path: 'm.png' }, strength: 0.85 });
    expect(parse({ prompt: 'x', image_path: 'a.png' }, 'edit').strength).toBe(0.6);
  });

  it.each<[string, ImageOperation, object]>([
    ['prompt: expected text, found nothing', 'generate', {}],
    [
      'prompt: expected at most 10000 characters, found 10001 characters',
      'generate',
      { prompt: 'x'.repeat(10_001) },
    ],
    ['width: expected a multiple of 8, found 513', 'generate', { prompt: 'x', width: 513 }],
    ['height: expected at most 1024, found 2048', 'generate', { prompt: 'x', height: 2048 }],
    ['width: expected at least 64, found 8', 'generate', { prompt: 'x', width: 8 }],
    ['steps: expected at least 1, found 0', 'generate', { prompt: 'x', steps: 0 }],
    ['steps: expected a whole number, found 2.5', 'generate', { prompt: 'x', steps: 2.5 }],
    ['steps: expected a number, found "many"', 'generate', { prompt: 'x', steps: 'many' }],
    ['batch: expected at most 16, found 17', 'generate', { prompt: 'x', batch: 17 }],
    ['seed: expected -1 or a whole number from 0 to 2^53 - 1', 'generate', { prompt: 'x', seed: 2 ** 60 }],
    ['give the seed as a string', 'generate', { prompt: 'x', seed: 2 ** 53 }],
    ['a string of digits up to 18446744073709551615', 'generate', { prompt: 'x', seed: `${2n ** 64n}` }],
    ['found "0x2a"', 'generate', { prompt: 'x', seed: '0x2a' }],
    ['found -2', 'generate', { prompt: 'x', seed: -2 }],
    ['found 1.5', 'generate', { prompt: 'x', seed: 1.5 }],
    [
      'return_mode: expected one of base64, path, both, found "all"',
      'generate',
      { prompt: 'x', return_mode: 'all' },
    ],
    ['assist: expected true or false, found "yes"', 'generate', { prompt: 'x', assist: 'yes' }],
    ['expected init_image (base64) or init_image_path, found neither', 'edit', { prompt: 'x' }],
    ['init_image: expected base64, found other characters', 'edit', { prompt: 'x', init_image: '%%' }],
    ['strength: expected at most 1, found 2', 'edit', { prompt: 'x', init_image_path: 'a', strength: 2 }],
    [
      'expected mask_image (base64) or mask_image_path, found neither',
      'inpaint',
      { prompt: 'x', init_image_path: 'a' },
    ],
  ])('says %s', (message, operation, fields) => {
    const error = refusal(fields, operation);
    expect(error.message).toContain(message);
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', status: 400, exitCode: 2 });
  });

  it('names every bad field at once', () => {
    const error = refusal({ prompt: 7, width: 100, steps: -1 });
    expect(error.details).toMatchObject({ fields: ['prompt', 'steps', 'width'] });
  });

  it('refuses what is not an object', () => {
    for (const value of [null, 'text', 7, []]) expect(refusal(value).code).toBe('INVALID_ARGUMENT');
  });
});

describe('createRequestSchemas', () => {
  it('lets models exceed the default of MAX_RES unless it is set', () => {
    const open = createRequestSchemas({ maxRes: 1024, set: new Set() });
    expect(parseRequest('generate', { prompt: 'x', width: 1536 }, open).width).toBe(1536);
    expect(refusal({ prompt: 'x', width: 1536 }).message).toContain('at most 1024');
  });

  it('becomes JSON schema with a description for every field', () => {
    const { properties, required } = z.toJSONSchema(schemas.inpaint, { io: 'input' }) as {
      properties: Record<string, { description?: string }>;
      required: string[];
    };
    expect(required).toEqual(['prompt']);
    for (const [name, field] of Object.entries(properties)) expect(field.description, name).toBeTruthy();
  });
});
