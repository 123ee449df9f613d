// Reference pictures from the command line to the networks: FLUX.2 looks at several, FLUX.1 Kontext at one, others refuse.
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
// @ts-expect-error: a script without types
import { randomClip, randomT5 } from '../../scripts/fixtures/networks.mjs';
// @ts-expect-error: a script without types
import { writeSafetensors } from '../../scripts/fixtures/tensors.mjs';
import { makeFolder } from '../folder.js';
import { goldenCase } from '../golden.js';
import { readFlux } from '../golden-networks.js';
import { filesOfKlein } from '../golden-plans.js';
import { runCli } from './run-cli.js';

const folder = makeFolder('cli');
const [red, blue] = ['red', 'blue'].map((name) => path.join(folder, `${name}.png`)) as [string, string];
const dev = goldenCase('flux1-dev');
const quick = ['-w', '64', '-h', '64', '--steps', '1', '--seed', '1', '--no-cache', '-q'];

beforeAll(async () => {
  for (const [file, width] of [
    [red, 50],
    [blue, 100],
  ] as const)
    await sharp({ create: { width, height: 40, channels: 3, background: path.basename(file, '.png') } })
      .png()
      .toFile(file);
});

async function draw(args: string[]): Promise<Buffer> {
  const { code, stdout, stderr } = await runCli(['generate', 'a fox', ...quick, ...args], { folder });
  expect([code, stderr]).toEqual([0, '']);
  return sharp(stdout.trim()).raw().toBuffer();
}

describe('FLUX.2', () => {
  const files = filesOfKlein();
  const model = ['-m', files.model, '--llm', files.llm, '--vae', files.vae];

  it('looks at each of several pictures', async () => {
    const none = await draw(model);
    const one = await draw([...model, '--ref', red]);
    const two = await draw([...model, '--ref', red, '--ref', blue]);
    expect(none.length).toBe(64 * 64 * 3);
    expect(one.equals(none)).toBe(false);
    expect(two.equals(one)).toBe(false);
  }, 120_000);
});

describe('FLUX.1 Kontext', () => {
  const parts = path.join(folder, 'parts');
  const model = [
    '-m',
    dev.weights(),
    '--vae',
    goldenCase('vae-flux1').weights(),
    '--clip-l',
    path.join(parts, 'clip.safetensors'),
    '--t5xxl',
    path.join(parts, 't5.safetensors'),
  ];

  beforeAll(async () => {
    const { vectorWidth, contextWidth } = (await readFlux(dev)).config;
    const t5 = goldenCase('t5-encoder');
    const clip = randomClip({ seed: 4, width: vectorWidth, layers: 2 });
    writeSafetensors(path.join(parts, 'clip.safetensors'), clip);
    const vocabulary = t5.config<number>('vocab');
    const shape = { width: contextWidth, layers: 2, heads: 4, headDim: 32, intermediate: 256, vocabulary };
    writeSafetensors(path.join(parts, 't5.safetensors'), randomT5({ seed: 5, ...shape }));
    copyFileSync(t5.path('tokenizer.json'), path.join(parts, 'tokenizer.json'));
  });

  it('looks at one picture, and says so if it gets two', async () => {
    const none = await draw(model);
    const one = await draw([...model, '--ref', red]);
    expect(one.equals(none)).toBe(false);
    const two = await runCli(['generate', 'a fox', ...quick, ...model, '--ref', red, '--ref', blue], {
      folder,
    });
    expect([two.code, two.stdout]).toEqual([2, '']);
    expect(two.stderr).toMatch(/references: expected at most 1 for .*, found 2/);
    expect(two.stderr).toContain(path.basename(dev.weights()));
  }, 180_000);
});

describe('other models', () => {
  it('refuse reference pictures and name those that take them', async () => {
    const { code, stderr } = await runCli(['generate', 'a fox', ...quick, '--ref', red], { folder });
    expect(code).toBe(5);
    expect(stderr).toMatch(/takes no reference pictures/);
    expect(stderr).toMatch(/FLUX\.2 and FLUX\.1 Kontext/);
  });
});
