import { readdirSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { PipelineRequest } from '../../../../src/pipeline/types.js';
import { identifyFile } from '../../../../src/service/models/identity.js';
import { cacheKey, PictureCache } from '../../../../src/service/pictures/cache.js';
import { nameTemporary } from '../../../../src/shared/temporary-files.js';
import { makeFolder } from '../../../folder.js';

let folder: string;
beforeEach(() => {
  folder = makeFolder('cache');
});

const facts = { family: 'sd1', elapsedSeconds: 2 };
const key = (n: number) => n.toString(16).padStart(64, '0');
const open = (maxBytes = 1000) => new PictureCache({ folder: path.join(folder, 'cache'), maxBytes });

describe('PictureCache', () => {
  it('returns what was stored, to later programs too', async () => {
    const picture = { png: Buffer.from('pixels'), facts };
    await open().put(key(1), picture);
    expect(await open().get(key(1))).toEqual(picture);
    expect(await open().get(key(2))).toBeUndefined();
    expect(readdirSync(path.join(folder, 'cache'))).toHaveLength(2);
  });

  it('drops the least recently used entries when it exceeds its bytes', async () => {
    const cache = open(250);
    for (const n of [1, 2]) {
      await cache.put(key(n), { png: Buffer.alloc(100, n), facts });
      const past = new Date(Date.now() - 100_000 + n);
      utimesSync(path.join(folder, 'cache', `${key(n)}.png`), past, past);
    }
    expect(await cache.get(key(1))).toBeDefined();
    await cache.put(key(3), { png: Buffer.alloc(100, 3), facts });
    expect(await cache.get(key(2))).toBeUndefined();
    expect(await cache.get(key(1))).toBeDefined();
    expect(await cache.get(key(3))).toBeDefined();
  });

  it('removes what a killed process left', async () => {
    const cache = path.join(folder, 'cache');
    await open().put(key(1), { png: Buffer.from('pixels'), facts });
    const [orphan, fresh, left] = [`${key(2)}.json`, `${key(3)}.json`, nameTemporary(cache)];
    // No process has the largest id.
    const dead = left.replace(`.${process.pid}.`, '.4194304.');
    for (const name of [orphan, fresh]) writeFileSync(path.join(cache, name), '{}');
    writeFileSync(dead, 'half');
    const past = new Date(Date.now() - 3_600_000);
    utimesSync(path.join(cache, orphan), past, past);
    await open().put(key(4), { png: Buffer.from('pixels'), facts });
    const names = readdirSync(cache);
    expect(names).not.toContain(orphan);
    expect(names).not.toContain(path.basename(dead));
    expect(names).toContain(fresh);
    expect(names).toContain(`${key(1)}.png`);
  });

  it('treats a damaged entry as missing', async () => {
    const cache = open();
    await cache.put(key(1), { png: Buffer.from('pixels'), facts });
    truncateSync(path.join(folder, 'cache', `${key(1)}.png`), 3);
    expect(await cache.get(key(1))).toBeUndefined();
    writeFileSync(path.join(folder, 'cache', `${key(1)}.json`), 'no json');
    expect(await cache.get(key(1))).toBeUndefined();
  });

  it('does without if its folder cannot be written, and is off with 0 bytes', async () => {
    writeFileSync(path.join(folder, 'cache'), 'a file');
    const cache = open();
    await cache.put(key(1), { png: Buffer.from('pixels'), facts });
    expect(await cache.get(key(1))).toBeUndefined();
    rmSync(path.join(folder, 'cache'));
    await open(0).put(key(1), { png: Buffer.from('pixels'), facts });
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('cacheKey', () => {
  const request: PipelineRequest = {
    task: 'text2img',
    model: { model: '/a' },
    prompt: 'fox',
    negativePrompt: '',
    width: 8,
    height: 8,
    steps: 4,
    guidance: 7,
    seed: 1,
    sampler: 'euler',
    schedule: 'karras',
    noise: 'philox',
    batch: 1,
    clipSkip: 1,
    strength: 0.75,
    previewEvery: 0,
  };
  const weights = { identities: ['w'], device: 'cpu' };
  const init = { rgb: new Uint8Array(192), width: 8, height: 8 };
  const hires = { width: 16, height: 16, scale: 2, steps: 4, strength: 0.6, upscaler: 'latent' } as const;
  const of = (change: Partial<PipelineRequest> = {}, seed = 1) =>
    cacheKey({ ...request, ...change }, seed, weights);

  it('changes with everything that shapes the pixels', () => {
    const other = { ...init, rgb: new Uint8Array(192).fill(1) };
    const keys = [
      of(),
      of({}, 2),
      of({ prompt: 'cat' }),
      of({ negativePrompt: 'x' }),
      of({ width: 16 }),
      of({ height: 16 }),
      of({ steps: 5 }),
      of({ guidance: 8 }),
      of({ sampler: 'heun' }),
      of({ schedule: 'beta' }),
      of({ noise: 'torch' }),
      of({ clipSkip: 2 }),
      of({ task: 'img2img', init }),
      of({ task: 'img2img', init: other }),
      of({ task: 'img2img', init, strength: 0.5 }),
      of({ task: 'inpaint', init, mask: new Uint8Array(64) }),
      of({ task: 'inpaint', init, mask: new Uint8Array(64).fill(255) }),
      of({ loras: [{ path: '/l', strength: 1 }] }),
      of({ loras: [{ path: '/l', strength: 0.5 }] }),
      of({ loras: [{ path: '/l', strength: 0.5, textStrength: 1 }] }),
      of({ hires }),
      of({ prediction: 'v' }),
      of({ guidanceRescale: 0.7 }),
      of({ hires: { ...hires, strength: 0.4 } }),
      of({ hires: { ...hires, upscaler: 'pixel' } }),
      cacheKey(request, 1, { identities: ['w2'], device: 'cpu' }),
      cacheKey(request, 1, { identities: ['w'], device: 'cuda' }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('does not change with anything else', () => {
    // The identity of weights counts, not their path. A picture of a batch is the same as that of its own seed.
    for (const same of [
      { model: { model: '/b' } },
      { batch: 3, seed: 0 },
      { previewEvery: 2 },
      { strength: 0.1 },
    ])
      expect(of(same)).toBe(of());
  });
});

describe('identifyFile', () => {
  it('sees a change of content, size or time', async () => {
    const file = path.join(folder, 'weights');
    const time = new Date(1e12);
    const write = (data: Buffer, at = time) => {
      writeFileSync(file, data);
      utimesSync(file, at, at);
      return identifyFile(file);
    };
    const large = Buffer.alloc(10_000_000);
    const first = await write(large);
    expect(await write(large)).toBe(first);
    const changed = Buffer.from(large);
    changed.fill(1, 5_000_000, 5_500_000);
    expect(await write(changed)).not.toBe(first);
    expect(await write(large.subarray(1))).not.toBe(first);
    expect(await write(large, new Date(2e12))).not.toBe(first);
    expect(await write(Buffer.alloc(0))).toMatch(/^[0-9a-f]{64}$/);
  });
});
