// --control with a model, as a user runs it, with a random ControlNet for the small test model.
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, it, vi } from 'vitest';
import { readPngText } from '../../src/service/pictures/png-text.js';
import { writeControlNet } from '../control-file.js';
import { makeFolder } from '../folder.js';
import { testModel } from '../test-model.js';
import { runCli } from './run-cli.js';

// A busy machine starts processes slowly.
vi.setConfig({ testTimeout: 240_000 });

const folder = makeFolder();
const net = await writeControlNet(path.join(folder, 'edges.safetensors'), testModel);
const map = path.join(folder, 'map.jpg');
const stripes = Buffer.from(
  Uint8Array.from({ length: 90 * 70 * 3 }, (_, i) => (Math.floor(i / 27) % 2) * 255),
);
await sharp(stripes, { raw: { width: 90, height: 70, channels: 3 } })
  .jpeg()
  .toFile(map);

const small = ['--width', '64', '--height', '64', '--steps', '4', '--seed', '3', '--no-cache'];

async function generate(...args: string[]): Promise<{ pixels: Buffer; file: string }> {
  const { code, stdout, stderr } = await runCli(['generate', 'a red star', ...small, ...args], { folder });
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  const file = stdout.trim();
  return { file, pixels: await sharp(file).raw().toBuffer() };
}

describe('--control', () => {
  it('steers the image, with the given strength and in the given steps', async () => {
    const plain = await generate();
    const control = ['--control', net, '--control-image', map];
    const steered = await generate(...control);
    expect(steered.pixels.equals(plain.pixels)).toBe(false);
    const off = await generate(...control, '--control-strength', '0');
    expect(off.pixels.equals(plain.pixels)).toBe(true);
    const late = await generate(...control, '--control-start', '0.5');
    const early = await generate(...control, '--control-end', '0.5');
    for (const other of [plain, steered, early]) expect(late.pixels.equals(other.pixels)).toBe(false);
    const facts = { model: 'edges', strength: 1, start: 0.5, end: 1 };
    expect(JSON.parse(readFileSync(late.file.replace(/png$/, 'json'), 'utf8')).control).toEqual(facts);
    expect(readPngText(readFileSync(late.file)).parameters).toContain(
      'ControlNet 0: "Module: none, Model: edges, Weight: 1, Guidance Start: 0.5, Guidance End: 1"',
    );
  });

  it('takes the name of a file or folder in the ControlNet folder', async () => {
    const own = path.join(folder, 'models', 'controlnet');
    mkdirSync(path.join(own, 'depth'), { recursive: true });
    copyFileSync(net, path.join(own, 'edges.safetensors'));
    await writeControlNet(path.join(own, 'depth', 'diffusion_pytorch_model.safetensors'), testModel, 'plain');
    const env = { IMAGEFORGE_MODEL_DIR: path.join(folder, 'models') };
    const pictures = [];
    for (const name of ['edges', 'depth']) {
      const args = ['generate', 'a red star', ...small, '--control', name, '--control-image', map];
      const { code, stdout, stderr } = await runCli(args, { folder, env });
      expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
      pictures.push(await sharp(stdout.trim()).raw().toBuffer());
    }
    expect(pictures[0]!.equals(pictures[1]!)).toBe(true);
  });

  it('says what is wrong before anything is drawn', async () => {
    const empty = makeFolder();
    const refuse = async (args: string[], code: number, words: RegExp) => {
      const result = await runCli(['generate', 'a star', ...small, ...args], { folder: empty });
      expect(result).toMatchObject({ code, stdout: '' });
      expect(result.stderr).toMatch(words);
    };
    await refuse(['--control', 'canny', '--control-image', map], 3, /There is no ControlNet canny/);
    await refuse(['--control', net], 2, /expected control_image .* or control_image_path, found neither/);
    await refuse(['--control-image', map], 2, /control_image_path: expected control beside it, found none/);
    await refuse(['--control', net, '--control-image', 'gone.png'], 3, /cannot read .*gone\.png/);
    await refuse(['--control', net, '--control-image', net], 2, /edges\.safetensors.*not a picture/);
    await refuse(['--control', map, '--control-image', map], 5, /map\.jpg/);
    await refuse(
      ['--control', testModel.model, '--control-image', map],
      5,
      /has a UNet.*a ControlNet was expected/,
    );
    const inverted = ['--control-start', '0.8', '--control-end', '0.2'];
    await refuse(
      ['--control', net, '--control-image', map, ...inverted],
      2,
      /expected less than the end, 0\.2/,
    );
    expect(existsSync(path.join(empty, 'outputs'))).toBe(false);
  });

  it('is recognised by models inspect', async () => {
    const { stdout } = await runCli(['models', 'inspect', net], { folder });
    expect(stdout).toContain('ControlNet for Stable Diffusion 1.x');
  });
});
