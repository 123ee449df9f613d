// imageforge upscale, and --upscale with a model, as a user runs them.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, it, vi } from 'vitest';
import { makeFolder } from '../folder.js';
import { runCli } from './run-cli.js';

// A busy machine starts processes slowly.
vi.setConfig({ testTimeout: 240_000 });

const fixture = (name: string) =>
  path.resolve(import.meta.dirname, `../fixtures/upscaler/${name}.safetensors`);

async function drawInto(folder: string, width: number, height: number): Promise<string> {
  const file = path.join(folder, 'boat.png');
  await sharp({ create: { width, height, channels: 3, background: '#3a7' } })
    .png()
    .toFile(file);
  return file;
}

describe('imageforge upscale', () => {
  it('writes a larger PNG and its sidecar, and prints the path', async () => {
    const folder = makeFolder('cli');
    const source = await drawInto(folder, 90, 70);
    const args = ['upscale', source, '--model', fixture('x4'), '--tile', '64'];
    const { code, stdout, stderr } = await runCli(args, { folder });
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const file = stdout.trim();
    expect(file).toBe(path.join(folder, 'outputs', 'boat_upscaled.png'));
    const { width, height } = await sharp(file).metadata();
    expect([width, height]).toEqual([360, 280]);
    expect(stderr).toContain('upscaling');
    expect(stderr).toContain('90 x 70 to 360 x 280');
    expect(JSON.parse(readFileSync(file.replace(/png$/, 'json'), 'utf8'))).toMatchObject({
      task: 'upscale',
      model: 'x4',
      scale: 4,
      width: 360,
      height: 280,
      source_width: 90,
      source_height: 70,
      filename: 'boat_upscaled.png',
    });
  });

  it('takes another scale, the name of an upscaler, an output folder and --json', async () => {
    const folder = makeFolder('cli');
    const source = await drawInto(folder, 33, 21);
    const output = path.join(folder, 'large.png');
    const args = ['upscale', source, '-m', fixture('x2'), '--scale', '3', '-o', output, '--json', '-q'];
    const { code, stdout, stderr } = await runCli(args, { folder });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      scale: 3,
      width: 99,
      height: 63,
      output_path: output,
    });
    expect((await sharp(output).metadata()).width).toBe(99);
    const before = readFileSync(output);
    const again = await runCli([...args, '--scale', '2'], { folder });
    expect(again.code).toBe(7);
    expect(JSON.parse(again.stdout).error).toMatchObject({
      code: 'OUTPUT_UNWRITABLE',
      message: expect.stringContaining(`${output}, ${path.join(folder, 'large.json')} are there already`),
    });
    expect(readFileSync(output)).toEqual(before);
    const forced = await runCli([...args, '--scale', '2', '--force'], { folder });
    expect(JSON.parse(forced.stdout)).toMatchObject({ output_path: output, notes: [] });
    expect((await sharp(output).metadata()).width).toBe(66);
  });

  it('says what is wrong and writes nothing', async () => {
    const folder = makeFolder('cli');
    const source = await drawInto(folder, 16, 16);
    const missing = await runCli(['upscale', source, '-m', 'nowhere.safetensors'], { folder });
    expect(missing).toMatchObject({ code: 3, stdout: '' });
    expect(missing.stderr).toContain('There is no upscaler nowhere.safetensors');
    const other = await runCli(['upscale', source, '-m', source], { folder });
    expect(other).toMatchObject({ code: 5, stdout: '' });
    const small = await runCli(['upscale', source, '-m', fixture('x4'), '--tile', '8'], { folder });
    expect(small.code).toBe(2);
    expect(small.stderr).toContain('tile: expected at least 64, found 8');
    expect(existsSync(path.join(folder, 'outputs'))).toBe(false);
  });
});

describe('--upscale', () => {
  it('makes the finished image larger', async () => {
    const folder = makeFolder('cli');
    const size = ['--width', '64', '--height', '64', '--steps', '2', '--seed', '3'];
    const args = ['generate', 'a red star', ...size, '--upscale', fixture('x2')];
    const { code, stdout, stderr } = await runCli(args, { folder });
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect((await sharp(stdout.trim()).metadata()).width).toBe(128);
    const sidecar = JSON.parse(readFileSync(stdout.trim().replace(/png$/, 'json'), 'utf8'));
    expect(sidecar).toMatchObject({ upscaler: 'x2', upscale: 2, width: 128, height: 128 });
  });
});
