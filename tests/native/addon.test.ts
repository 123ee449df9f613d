// How the addon's objects behave: devices, one job at a time, abort, refusal of what doesn't fit, closing, logs.
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Autoencoder, Engine, Tensor, TextEncoder, Weights } from '../../src/native/addon.js';
import { loadAddon } from '../../src/native/binding.js';
import { onCpu, testDevice } from '../device.js';
import { tinyAutoencoder, writeTinyAutoencoder } from './tiny-autoencoder.js';
import { randomFloats, temporaryFolder, tinyClip, tokenRow, writeTinyClip } from './tiny-clip.js';

const addon = loadAddon();
const folder = temporaryFolder();
let clip: Weights;
let pictures: Weights;

beforeAll(() => {
  clip = writeTinyClip(folder.path);
  pictures = writeTinyAutoencoder(folder.path);
});
afterAll(() => folder.dispose());

const newEngine = () => new addon.Engine({ device: testDevice, threads: 2 });
const latent = (side: number): Tensor => ({ data: randomFloats(4 * side * side), shape: [4, side, side] });

describe('devices', () => {
  it('has the CPU with its memory', () => {
    const cpu = addon.devices().find((device) => device.id === 'cpu')!;
    expect(cpu.kind).toBe('cpu');
    expect(cpu.memoryTotal).toBeGreaterThan(1 << 28);
    expect(cpu.memoryFree).toBeGreaterThan(0);
    expect(cpu.memoryFree).toBeLessThanOrEqual(cpu.memoryTotal);
  });

  it('names the existing ones when another is asked for', () => {
    expect(() => new addon.Engine({ device: 'cuda99' })).toThrow(
      expect.objectContaining({ code: 'DEVICE_UNAVAILABLE', message: expect.stringMatching(/cuda99.*cpu/) }),
    );
  });

  it('refuses impossible options', () => {
    const make = (options: object) => () => new addon.Engine({ device: 'cpu', ...options });
    const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
    expect(make({ threads: 0 })).toThrow(invalid);
    expect(make({ threads: 1e9 })).toThrow(invalid);
    expect(make({ onLog: 'console' })).toThrow(invalid);
    expect(make({ autoencoderBytes: 0 })).toThrow(invalid);
    expect(make({ device: 3 })).toThrow(invalid);
  });
});

describe('one engine', () => {
  let engine: Engine;
  let encoder: TextEncoder;
  let autoencoder: Autoencoder;
  beforeAll(async () => {
    engine = newEngine();
    encoder = await engine.loadTextEncoder('clip', tinyClip, clip);
    autoencoder = await engine.loadAutoencoder('autoencoder', tinyAutoencoder, pictures);
  });
  afterAll(() => engine.close());

  it('encodes text: one state per token, the same every time', async () => {
    const first = await encoder.encode(tokenRow(), { layers: [1, 2] });
    expect(first.hidden.map((state) => state.shape)).toEqual([
      [77, 32],
      [77, 32],
    ]);
    expect(first.pooled!.shape).toEqual([32]);
    expect(first.hidden[1]!.data.every(Number.isFinite)).toBe(true);
    const second = await encoder.encode(tokenRow(), { layers: [1, 2] });
    expect(second.hidden[1]!.data).toEqual(first.hidden[1]!.data);
  });

  it('decodes 8-bit pixels that are the rounded float picture', async () => {
    const input = latent(4);
    const { data, shape } = await autoencoder.decodeFloat(input);
    const { rgb, width, height } = await autoencoder.decode(input);
    expect([width, height]).toEqual([32, 32]);
    expect(shape).toEqual([3, 32, 32]);
    const expected = Uint8Array.from({ length: rgb.length }, (_, i) => {
      const value = data[(i % 3) * width * height + Math.floor(i / 3)]!;
      return Math.round(Math.min(255, Math.max(0, (value + 1) * 127.5)));
    });
    // A value on the border between two pixels may fall to either side.
    expect(rgb.every((value, i) => Math.abs(value - expected[i]!) <= 1)).toBe(true);
    expect(rgb.filter((value, i) => value !== expected[i]).length).toBeLessThan(rgb.length / 100);
  });

  it('reads pixels as it reads the same picture in floats', async () => {
    const rgb = Uint8Array.from({ length: 3 * 16 * 8 }, (_, i) => (i * 37) % 256);
    const data = new Float32Array(rgb.length);
    for (let i = 0; i < rgb.length; i++) data[(i % 3) * 128 + Math.floor(i / 3)] = rgb[i]! / 127.5 - 1;
    const a = await autoencoder.encode({ rgb, width: 16, height: 8 });
    const b = await autoencoder.encode({ data, shape: [3, 8, 16] });
    expect(a.mean.shape).toEqual([4, 1, 2]);
    for (let i = 0; i < a.mean.data.length; i++) expect(a.mean.data[i]).toBeCloseTo(b.mean.data[i]!, 3);
  });

  it('runs one job at a time: a second one is BUSY, wherever it comes from', async () => {
    const running = autoencoder.decode(latent(16));
    await expect(encoder.encode(tokenRow())).rejects.toMatchObject({ code: 'BUSY' });
    await expect(engine.loadTextEncoder('clip', tinyClip, clip)).rejects.toMatchObject({ code: 'BUSY' });
    await running;
    await encoder.encode(tokenRow());
  });

  it('stops within 250 ms when aborted, and computes again afterwards', async () => {
    // The fastest of a few: a busy machine delays a thread by as much as the limit itself.
    let fastest = Infinity;
    for (let attempt = 0; attempt < 5 && fastest >= 250; attempt++) {
      const running = autoencoder.decode(latent(96));
      await new Promise((resolve) => setTimeout(resolve, 150));
      const before = performance.now();
      engine.abort();
      await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
      fastest = Math.min(fastest, performance.now() - before);
    }
    expect(fastest).toBeLessThan(250);
    await autoencoder.decode(latent(4));
  });

  it('does nothing on abort() when nothing runs', async () => {
    engine.abort();
    await encoder.encode(tokenRow());
  });

  it('refuses what needs more memory than there is, with figures, before allocating it', async () => {
    // One level, so there are no tiles: 256 channels for each latent position, at least two such tensors at a time.
    const config = { ...tinyAutoencoder, channels: [256], latentChannels: 1 };
    const wide = await engine.loadAutoencoder(
      'autoencoder',
      config,
      writeTinyAutoencoder(folder.path, config),
    );
    const { memoryTotal } = addon.devices().find(({ id }) => id === testDevice)!;
    const side = Math.ceil(Math.sqrt((2 * memoryTotal) / (256 * 4 * 2)));
    const before = engine.memory().compute;
    await expect(
      wide.decode({ data: new Float32Array(side * side), shape: [1, side, side] }),
    ).rejects.toMatchObject({
      code: 'OUT_OF_MEMORY',
      message: expect.stringMatching(/GiB needed, .* free/),
    });
    expect(engine.memory().compute).toBe(before);
    await wide.close();
    await autoencoder.decode(latent(4));
  });

  it('keeps one compute buffer for all graphs', async () => {
    await autoencoder.decode(latent(16));
    const { compute } = engine.memory();
    expect(compute).toBeGreaterThan(0);
    await encoder.encode(tokenRow());
    await autoencoder.decode(latent(8));
    await autoencoder.decode(latent(16));
    expect(engine.memory().compute).toBe(compute);
  });

  it('decodes and encodes larger pictures in the same compute buffer, in tiles', async () => {
    const autoencoderBytes = 32 << 20;
    const lines: string[] = [];
    const options = { autoencoderBytes, onLog: (_: string, line: string) => lines.push(line) };
    const engine = new addon.Engine({ device: testDevice, threads: 2, ...options });
    const autoencoder = await engine.loadAutoencoder('autoencoder', tinyAutoencoder, pictures);
    for (const side of [16, 40, 64]) {
      const { width, rgb } = await autoencoder.decode(latent(side));
      expect(width).toBe(8 * side);
      expect(engine.memory().compute).toBeLessThanOrEqual(autoencoderBytes);
      await autoencoder.encode({ rgb, width, height: width });
      expect(engine.memory().compute).toBeLessThanOrEqual(autoencoderBytes);
    }
    expect(lines).toEqual([
      expect.stringMatching(/^decode 40x40: .* in one piece, .* in \d tiles of \d+ MiB$/),
      expect.stringMatching(/^encode 320x320: /),
      expect.stringMatching(/^decode 64x64: /),
      expect.stringMatching(/^encode 512x512: /),
    ]);
    if (onCpu) expect(engine.memory().scratch).toBeGreaterThan(0);
    await engine.close();
  });

  it.runIf(onCpu)(
    'gives the pages of mapped weights back while it rests, and computes the same afterwards (needs the CPU)',
    async () => {
      const input = latent(4);
      const before = await autoencoder.decode(input);
      autoencoder.rest();
      expect(engine.memory().mapped).toBeGreaterThan(0);
      expect(await autoencoder.decode(input)).toEqual(before);
    },
  );

  it('refuses wrong arguments by name', async () => {
    const invalid = (message: RegExp) => ({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    });
    const decode = (value: unknown) => expect(autoencoder.decode(value as Tensor)).rejects;
    await decode(undefined).toMatchObject(invalid(/latent must be an object/));
    await decode({ data: [1, 2], shape: [2] }).toMatchObject(invalid(/latent\.data must be a Float32Array/));
    await decode({ data: new Float32Array(3), shape: [2] }).toMatchObject(invalid(/3 values/));
    await decode({ data: new Float32Array(0), shape: [] }).toMatchObject(invalid(/0 values/));
    await decode({ data: new Float32Array(4), shape: [2 ** 31, 2 ** 31, 2 ** 31, 4] }).toMatchObject(
      invalid(/4 values/),
    );
    await decode({ data: new Float32Array(4), shape: [4, -1, -1] }).toMatchObject(invalid(/shape\[\d\]/));
    await decode({ data: new Float32Array(12), shape: [3, 2, 2] }).toMatchObject(invalid(/channels/));
    const encode = (image: unknown) => expect(autoencoder.encode(image as Tensor)).rejects;
    await encode({ rgb: new Uint8Array(5), width: 8, height: 8 }).toMatchObject(invalid(/5 bytes/));
    await expect(encoder.encode(Int32Array.of(5000))).rejects.toMatchObject(invalid(/vocabulary/));
    await expect(encoder.encode(new Int32Array(500))).rejects.toMatchObject(invalid(/tokens/));
    await expect(encoder.encode(tokenRow(), { layers: [9] })).rejects.toMatchObject(invalid(/layer 9/));
  });

  it('does not lend its methods to other objects, nor its classes to new', () => {
    expect(() => encoder.encode.call(autoencoder as never, tokenRow())).toThrow(
      /Illegal invocation|argument/i,
    );
    expect(() => new (encoder.constructor as new () => unknown)()).toThrow(/constructed by an engine/);
  });
});

describe('closing', () => {
  it('frees a network, whose calls are CLOSED from then on', async () => {
    const engine = newEngine();
    const encoder = await engine.loadTextEncoder('clip', tinyClip, clip);
    const running = encoder.encode(tokenRow());
    const closed = encoder.close();
    await running; // close() waited for it
    await closed;
    await encoder.close();
    await expect(encoder.encode(tokenRow())).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(encoder.setLoras([])).rejects.toMatchObject({ code: 'CLOSED' });
    expect(engine.memory().mapped).toBe(0);
    expect(encoder.bytes).toBe(0);
    await engine.close();
  });

  it('an engine waits for its job and takes its networks along', async () => {
    const engine = newEngine();
    const autoencoder = await engine.loadAutoencoder('autoencoder', tinyAutoencoder, pictures);
    const running = autoencoder.decode(latent(16));
    const closed = engine.close();
    await expect(autoencoder.decode(latent(4))).rejects.toMatchObject({ code: 'CLOSED' });
    expect((await running).width).toBe(128);
    await closed;
    expect(engine.memory()).toMatchObject({ weights: 0, mapped: 0, compute: 0 });
    await expect(engine.loadTextEncoder('clip', tinyClip, clip)).rejects.toMatchObject({ code: 'CLOSED' });
    await engine.close();
  });
});

describe('environments', () => {
  it('loads in worker threads, also while another thread computes', async () => {
    const script = `
      const { parentPort, workerData } = require('node:worker_threads');
      const addon = require(workerData.file);
      (async () => {
        const engine = new addon.Engine({ device: workerData.device, threads: 1, onLog: () => {} });
        const encoder = await engine.loadTextEncoder('clip', workerData.config, workerData.weights);
        const { hidden } = await encoder.encode(workerData.tokens);
        parentPort.postMessage(hidden[0].data);
      })();`;
    const { path: locate } = createRequire(import.meta.url)('node-gyp-build');
    const file = locate(resolve(import.meta.dirname, '../..'));
    const workerData = { file, device: testDevice, config: tinyClip, weights: clip, tokens: tokenRow() };
    const results = await Promise.all(
      [0, 1, 2].map(
        () =>
          new Promise<Float32Array>((done, fail) => {
            const worker = new Worker(script, { eval: true, workerData });
            let data: Float32Array;
            worker.on('message', (message) => {
              data = message;
            });
            worker.on('error', fail);
            worker.on('exit', (code) => (code === 0 ? done(data) : fail(new Error(`exit code ${code}`))));
          }),
      ),
    );
    const engine = newEngine();
    const encoder = await engine.loadTextEncoder('clip', tinyClip, clip);
    const { hidden } = await encoder.encode(tokenRow());
    for (const result of results) expect(result).toEqual(hidden[0]!.data);
    await engine.close();
  });
});
