// Upscalers against a PyTorch reference: every layout of names, packing of pixels, tiles, progress, cancel and bad files.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
// @ts-expect-error plain JavaScript
import { readSafetensors, rename, writeSafetensors } from '../../scripts/fixtures/tensors.mjs';
import { planModel } from '../../src/families/index.js';
import { inspectFile } from '../../src/families/inspect.js';
import { planUpscaler } from '../../src/families/upscaler.js';
import type { Engine, Pixels, Upscaler } from '../../src/native/addon.js';
import { chooseTile, upscalePicture, upscalePictures } from '../../src/pipeline/upscale.js';
import { assertClose, type GoldenTensor, maxDifference, readTensors } from '../golden.js';
import { testModel } from '../test-model.js';
import { operations, withEngine } from './networks.js';

const folder = resolve(import.meta.dirname, '../fixtures/upscaler');
const fixture = (name: string) => join(folder, `${name}.safetensors`);
const expected = readTensors(fixture('expected'));
const source = expected.get('picture')!;
const scratch = mkdtempSync(join(tmpdir(), 'imageforge-upscale-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Planes of 0 … 255 as RGB. */
function toPixels({ data, shape: [, height, width] }: GoldenTensor): Pixels {
  const plane = width! * height!;
  const rgb = Uint8Array.from({ length: plane * 3 }, (_, i) => data[(i % 3) * plane + Math.floor(i / 3)]!);
  return { rgb, width: width!, height: height! };
}

/** A picture with structure of many sizes. */
function draw(width: number, height: number): Pixels {
  const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [x, y, c] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3];
    return 128 + 80 * Math.sin(x / (3 + c)) * Math.cos(y / (5 - c)) + 40 * (((x >> 3) + (y >> 3)) % 2);
  });
  return { rgb, width, height };
}

/** Real-ESRGAN's names as the second release of ESRGAN, and BSRGAN after it, has them. */
const toTrunk = (name: string) =>
  name
    .replace('params_ema.', '')
    .replace(/^body\.(\d+)\.rdb/, 'RRDB_trunk.$1.RDB')
    .replace(/^conv_body\./, 'trunk_conv.')
    .replace(/^conv_up(\d)\./, 'upconv$1.')
    .replace(/^conv_hr\./, 'HRconv.');

/** The fixture of this name, or one with its tensors under others. */
function fileOf(name: string): string {
  const [from, change] = name.split(' as ');
  const path = fixture(from!);
  if (change === undefined) return path;
  const to: Record<string, (name: string) => string> = {
    ESRGAN: toTrunk,
    params: (name) => name.replace('params_ema.', 'params.'),
    bare: (name) => name.replace('params_ema.', ''),
    params_ema: (name) => `params_ema.${name}`,
  };
  const file = join(scratch, `${name}.safetensors`);
  writeSafetensors(file, rename(readSafetensors(path), to[change]!));
  return file;
}

async function load(engine: Engine, name: string): Promise<Upscaler> {
  const { kind, config, weights } = await planUpscaler(fileOf(name));
  return engine.loadUpscaler(kind, config, weights);
}

describe.each(operations)('upscaler on $name', (chosen) => {
  const tolerance = { rel_l2: chosen.precision === 'f32' ? 1e-5 : 2e-3 };
  for (const [name, answer] of [
    ['x4', 'x4'],
    ['x4 as params', 'x4'],
    ['x4 as bare', 'x4'],
    ['x4 as ESRGAN', 'x4'],
    ['x4-first', 'x4'],
    ['x2', 'x2'],
    ['x2 as params_ema', 'x2'],
    ['anime', 'anime'],
    ['anime as ESRGAN', 'anime'],
    ['x2-first', 'x2-first'],
    ['x1-first', 'x1-first'],
  ] as const)
    test(`${name} equals the reference`, () =>
      withEngine(chosen, async (engine) => {
        const larger = await (await load(engine, name)).upscaleFloat(toPixels(source));
        const { data, shape } = expected.get(answer)!;
        expect(larger.shape).toEqual(shape);
        const unit = larger.data.map((value) => (value + 1) / 2);
        assertClose(unit, data, tolerance);
      }));
});

describe('tiles', () => {
  const ours = operations[0]!;

  for (const name of ['x4', 'x2'])
    test(`${name} in tiles is what it is as a whole`, () =>
      withEngine(ours, async (engine) => {
        const plan = await planUpscaler(fixture(name));
        const upscaler = await load(engine, name);
        const picture = draw(151, 101);
        const steps: number[] = [];
        const onTile = (done: number, all: number) => steps.push(done, all);
        const whole = await upscalePicture(upscaler, plan, picture, { tile: 512 });
        const tiled = await upscalePicture(upscaler, plan, picture, { tile: 64, onTile });
        expect([tiled.width, tiled.height]).toEqual([151 * plan.scale, 101 * plan.scale]);
        expect([whole.width, whole.height]).toEqual([tiled.width, tiled.height]);
        expect(steps.slice(0, 4)).toEqual([0, 12, 1, 12]);
        expect(steps.slice(-2)).toEqual([12, 12]);
        expect(maxDifference(tiled.rgb, whole.rgb)).toBeLessThanOrEqual(1);
      }));

  test('cancelling ends between two tiles', () =>
    withEngine(ours, async (engine) => {
      const controller = new AbortController();
      const done: number[] = [];
      const running = upscalePictures(engine, fixture('x4'), [draw(200, 200)], {
        tile: 64,
        signal: controller.signal,
        onTile: (_picture, tiles) => {
          done.push(tiles);
          if (tiles === 2) controller.abort();
        },
      });
      await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
      expect(done).toEqual([0, 1, 2]);
      const [again] = await upscalePictures(engine, fixture('x4'), [draw(16, 16)], {});
      expect(again!.width).toBe(64);
    }));

  for (const name of ['x4', 'x2'])
    test(`${name}: the estimate of memory is what a tile takes`, () =>
      withEngine(ours, async (engine) => {
        const { bytesPerPixel } = await planUpscaler(fixture(name));
        await (await load(engine, name)).upscale(draw(256, 256));
        const taken = engine.memory().compute / 256 ** 2;
        expect(taken).toBeLessThan(bytesPerPixel * 1.05);
        expect(taken).toBeGreaterThan(bytesPerPixel * 0.75);
      }));

  test('their side follows from the memory that is free', () => {
    const large = { bytesPerPixel: 9600 };
    expect(chooseTile(large, 2 ** 40)).toBe(328);
    expect(chooseTile(large, 600e6)).toBe(176);
    expect(chooseTile(large, 1e6)).toBe(64);
  });
});

describe('files', () => {
  const tensors = () => readSafetensors(fixture('x2'));
  const write = (name: string, changed: ReturnType<typeof tensors>) => {
    const file = join(scratch, name);
    writeSafetensors(file, changed);
    return file;
  };

  test('what it is stands in its tensors', async () => {
    expect(await planUpscaler(fixture('x4'))).toMatchObject({ scale: 4, multiple: 1, config: { blocks: 2 } });
    expect(await planUpscaler(fixture('x4-first'))).toMatchObject({ scale: 4, config: { doublings: 2 } });
    expect(await planUpscaler(fixture('x2'))).toMatchObject({ scale: 2, multiple: 2, config: { width: 8 } });
    expect(await planUpscaler(fixture('anime'))).toMatchObject({ scale: 4, config: { blocks: 6, width: 4 } });
    expect(await planUpscaler(fixture('x2-first'))).toMatchObject({ scale: 2, config: { doublings: 1 } });
    expect(await planUpscaler(fixture('x1-first'))).toMatchObject({ scale: 1, config: { doublings: 0 } });
    const layout = async (name: string) => (await inspectFile(fileOf(name))).networks[0]?.layout;
    expect(await layout('x4 as ESRGAN')).toBe('ESRGAN');
    expect(await layout('anime as ESRGAN')).toBe('ESRGAN');
    expect(await layout('x1-first')).toBe('first ESRGAN');
    expect((await inspectFile(fixture('x2'))).summary).toContain('to 2 times the size');
  });

  test('a missing and a misshapen tensor are named', () =>
    withEngine(operations[0]!, async (engine) => {
      const short = write(
        'missing.safetensors',
        rename(tensors(), (name: string) => (name === 'body.1.rdb2.conv3.bias' ? undefined : name)),
      );
      const { kind, config, weights } = await planUpscaler(short);
      await expect(engine.loadUpscaler(kind, config, weights)).rejects.toMatchObject({
        code: 'WEIGHTS_INVALID',
        message: expect.stringContaining('body.1.rdb2.conv3.bias'),
      });
      const wrong = tensors();
      wrong.set('conv_hr.weight', wrong.get('conv_first.weight')!);
      await expect(
        upscalePictures(engine, write('wrong.safetensors', wrong), [draw(16, 16)], {}),
      ).rejects.toMatchObject({ code: 'WEIGHTS_INVALID', message: expect.stringContaining('conv_hr') });
    }));

  test('another network, another kind of upscaler and no weights at all are refused with words', async () => {
    await expect(planUpscaler(testModel.model)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('an ESRGAN upscaler was expected'),
    });
    const plus = tensors();
    plus.set('body.0.rdb1.conv1x1.weight', plus.get('conv_last.bias')!);
    await expect(planUpscaler(write('plus.safetensors', plus))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('conv1x1'),
    });
    const first = readSafetensors(fixture('x4-first'));
    first.set('model.1.sub.0.RDB1.conv1x1.weight', first.get('model.10.bias')!);
    await expect(planUpscaler(write('plus-first.safetensors', first))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('conv1x1'),
    });
    const text = join(scratch, 'text.safetensors');
    writeFileSync(text, 'not weights at all');
    await expect(planUpscaler(text)).rejects.toMatchObject({ code: expect.stringMatching(/^WEIGHTS_/) });
  });

  test('as a model it is refused with the command that uses it', () =>
    expect(planModel({ model: fixture('x4') })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      hint: expect.stringContaining('imageforge upscale'),
    }));
});
