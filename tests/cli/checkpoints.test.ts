// FLUX.1 checkpoints with all their parts in one file, as people download them: they can be inspected, and they draw.
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
// @ts-expect-error: a script without types
import { makeLayouts } from '../../scripts/fixtures/layouts.mjs';
import type { ModelFiles } from '../../src/families/types.js';
import { makeFolder } from '../folder.js';
import { goldenCase, relativeDifference } from '../golden.js';
import { runCli } from './run-cli.js';

const folder = makeFolder('cli');
const quick = ['-w', '64', '-h', '64', '--steps', '2', '--seed', '1', '--no-cache', '-q'];

describe('FLUX.1 in one file', () => {
  let layouts: Record<string, ModelFiles>;

  beforeAll(() => {
    layouts = makeLayouts(goldenCase, folder, ['flux']).flux;
  });

  async function draw(args: string[]): Promise<Float32Array> {
    const { code, stdout, stderr } = await runCli(['generate', 'a fox', ...quick, ...args], { folder });
    expect([code, stderr]).toEqual([0, '']);
    return Float32Array.from(await sharp(stdout.trim()).raw().toBuffer());
  }

  it.each(['fp8', 'fp8-scaled-comfy', 'sd-cpp'])(
    '%s',
    async (layout) => {
      const { model } = layouts[layout]!;
      const { code, stdout } = await runCli(['models', 'inspect', model], { folder });
      expect(code).toBe(0);
      expect(stdout).toMatch(/FLUX\.1, complete/);
      for (const part of ['flux', 'autoencoder', 'clip', 't5']) expect(stdout).toContain(part);

      const found = await draw(['-m', model]);
      const expected = await draw(['-m', layouts[`${layout}-values`]!.model]);
      expect(found.length).toBe(64 * 64 * 3);
      expect(relativeDifference(found, expected)).toBeLessThan(0.01);
    },
    120_000,
  );

  it('says which tokenizer to put where if it has none', async () => {
    const lonely = path.join(makeFolder('lonely'), 'flux1-fp8.safetensors');
    copyFileSync(layouts.fp8!.model, lonely);
    const { code, stderr } = await runCli(['generate', 'a fox', ...quick, '-m', lonely], { folder });
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/flux1-fp8\.safetensors brings no tokenizer for T5/);
    const inspected = await runCli(['models', 'inspect', lonely], { folder });
    expect(inspected.stdout).toMatch(/brings no tokenizer for T5/);
    expect(stderr).toMatch(/tokenizer_2\/tokenizer\.json of FLUX\.1.*flux1-fp8\.tokenizer\.json/);
  }, 60_000);
});
