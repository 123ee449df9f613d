import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, it, vi } from 'vitest';
import { makeFolder } from '../folder.js';
import { runCli } from './run-cli.js';

// A busy machine starts processes slowly.
vi.setConfig({ testTimeout: 240_000 });

const quick = ['--steps', '2', '-w', '64', '-h', '64'];

describe('imageforge generate', () => {
  it('writes a PNG and its sidecar, and prints the path and one line per phase', async () => {
    const folder = makeFolder('cli');
    const { code, stdout, stderr } = await runCli(['generate', 'a red star', '--seed', '42', ...quick], {
      folder,
    });
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const file = stdout.trim();
    expect(path.relative(folder, file)).toMatch(/^outputs\/image_\d{8}_\d{6}_42\.png$/);
    expect(await sharp(file).metadata()).toMatchObject({ width: 64, height: 64 });
    const sidecar = JSON.parse(readFileSync(file.replace(/png$/, 'json'), 'utf8'));
    expect(sidecar).toMatchObject({ prompt: 'a red star', seed: 42, steps: 2 });
    expect(stderr).toMatch(
      /^loading\nprompt\nsteps \(2\)\ndecoding\n.*64 x 64, 2 steps, seed 42, [\d.]+ s\n$/,
    );
  });

  it('enlarges with --hires-scale, and uses an embedding that the prompt names', async () => {
    const folder = makeFolder('cli');
    const args = ['generate', 'a red star', '--seed', '3', '-o', 'a.png', ...quick];
    const hires = ['--hires-scale', '1.5', '--hires-strength', '0.5', '--hires-steps', '1'];
    const large = await runCli([...args, ...hires], { folder });
    expect(large.code, large.stderr).toBe(0);
    expect(await sharp(path.join(folder, 'a.png')).metadata()).toMatchObject({ width: 96, height: 96 });
    const { hires: facts } = JSON.parse(readFileSync(path.join(folder, 'a.json'), 'utf8'));
    expect(facts).toEqual({
      first_width: 64,
      first_height: 64,
      scale: 1.5,
      steps: 1,
      strength: 0.5,
      upscaler: 'latent',
    });
    const alone = await runCli([...args, '--hires-strength', '0.5'], { folder });
    expect(alone.stderr).toContain('hires_strength: expected hires_scale beside it');
    const narrow = path.resolve(import.meta.dirname, '../fixtures/embeddings/emb-params.safetensors');
    const wrong = await runCli([...args, '--embedding', narrow], { folder });
    expect(wrong.code).toBe(5);
    expect(wrong.stderr).toMatch(
      /emb-params\.safetensors: emb_params has vectors of width 64, but .* takes \d+/,
    );
  });

  it('prints one JSON document with --json, and uses the cache', async () => {
    const folder = makeFolder('cli');
    const args = ['generate', 'a red star', '--seed', '7', '--json', '-q', '-b', '2', ...quick];
    const [first, second] = [await runCli(args, { folder }), await runCli(args, { folder })];
    expect(first.stderr).toBe('');
    const document = JSON.parse(first.stdout);
    expect(document).toMatchObject({
      ok: true,
      task: 'text2img',
      seed: 7,
      cached: false,
      width: 64,
      image_base64: null,
    });
    expect(document.images.map(({ seed }: { seed: number }) => seed)).toEqual([7, 8]);
    expect(JSON.parse(second.stdout)).toMatchObject({ cached: true });
    const fresh = await runCli([...args, '--no-cache'], { folder });
    expect(JSON.parse(fresh.stdout)).toMatchObject({ cached: false });
    expect(readdirSync(path.join(folder, 'outputs'))).toHaveLength(12);
  });

  it('prints its notes, on stderr and in the document', async () => {
    const folder = makeFolder('cli');
    const args = [
      'generate',
      'x',
      '--seed',
      '5',
      '--assist',
      '-g',
      '1',
      '--guidance-rescale',
      '0.5',
      ...quick,
    ];
    const { code, stderr } = await runCli(args, { folder });
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stderr).toMatch(/^note: The prompt was not expanded/m);
    expect(stderr).toMatch(/^note: guidance_rescale has no effect/m);
    const document = await runCli([...args, '--json'], { folder });
    expect(document.stderr).toMatch(/^note: guidance_rescale/m);
    expect(JSON.parse(document.stdout).notes.join('\n')).toMatch(/not expanded[\s\S]*guidance_rescale/);
  });

  it('writes where it is told, and overwrites nothing without --force', async () => {
    const folder = makeFolder('cli');
    const [mine, second] = [path.join(folder, 'mine.png'), path.join(folder, 'mine_2.png')];
    writeFileSync(second, 'mine');
    const args = ['generate', 'x', '--seed', '18446744073709551614', '-b', '2', ...quick];
    const taken = await runCli([...args, '-o', 'mine.png'], { folder });
    expect(taken).toMatchObject({ code: 7, stdout: '' });
    expect(taken.stderr).toContain(`${second} is there already`);
    expect(taken.stderr).toContain('--force');
    expect([readFileSync(second, 'utf8'), existsSync(mine)]).toEqual(['mine', false]);
    const forced = await runCli([...args, '-o', 'mine.png', '--force'], { folder });
    expect(forced.stdout).toBe(`${mine}\n${second}\n`);
    const facts = (name: string) => JSON.parse(readFileSync(path.join(folder, name), 'utf8'));
    expect(facts('mine.json').seed).toBe('18446744073709551614');
    expect(facts('mine_2.json')).toMatchObject({ seed: '18446744073709551615', filename: 'mine_2.png' });
    const both = await runCli([...args, '-o', '/x/mine.png', '--output-dir', 'a'], { folder });
    expect(both).toMatchObject({ code: 2, stdout: '' });
    const elsewhere = await runCli([...args, '--output-dir', 'a/b'], { folder });
    expect(path.dirname(elsewhere.stdout.split('\n')[0]!)).toBe(path.join(folder, 'a/b'));
  });

  it('previews the picture in a file while it is made', async () => {
    const folder = makeFolder('cli');
    const preview = path.join(folder, 'shown/now.jpg');
    let seen = false;
    const { code } = await runCli(
      ['generate', 'a red star', '--steps', '20', '-w', '64', '-h', '64', '--preview', preview],
      {
        folder,
        onStart: (child) => {
          const timer = setInterval(() => {
            seen ||= existsSync(preview);
          }, 10);
          child.once('close', () => clearInterval(timer));
        },
      },
    );
    expect({ code, seen }).toEqual({ code: 0, seen: true });
    expect((await sharp(preview).metadata()).format).toBe('jpeg');
    expect(readdirSync(path.dirname(preview))).toEqual(['now.jpg']);
  });

  it('edits and inpaints', async () => {
    const folder = makeFolder('cli');
    await sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } })
      .png()
      .toFile(path.join(folder, 'red.png'));
    await sharp({ create: { width: 64, height: 64, channels: 3, background: 'black' } })
      .png()
      .toFile(path.join(folder, 'keep.png'));
    const edited = await runCli(
      ['edit', 'a blue star', 'red.png', '--strength', '0.5', '--steps', '4', '--json'],
      { folder },
    );
    expect(JSON.parse(edited.stdout)).toMatchObject({ task: 'img2img', width: 64 });
    const inpainted = await runCli(
      ['inpaint', 'a blue star', 'red.png', 'keep.png', '--steps', '4', '--json'],
      { folder },
    );
    const { task, output_path } = JSON.parse(inpainted.stdout);
    expect(task).toBe('inpaint');
    const { data } = await sharp(output_path).raw().toBuffer({ resolveWithObject: true });
    expect([...data.subarray(0, 3)]).toEqual([255, 0, 0]);
  });

  it('cancels on Ctrl-C: 130, one line, nothing written', async () => {
    const folder = makeFolder('cli');
    const args = ['generate', 'x', '--steps', '200', '-w', '256', '-h', '256', '--no-cache'];
    const { code, stdout, stderr } = await runCli(args, {
      folder,
      onStart: (child) =>
        child.stderr!.on('data', (text: string) => {
          if (text.includes('steps')) child.kill('SIGINT');
        }),
    });
    expect(code).toBe(130);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^error: .*cancelled.*$/m);
    expect(readdirSync(path.join(folder, 'outputs'))).toEqual([]);
  });
});

describe('what is refused', () => {
  const folder = makeFolder('cli');
  writeFileSync(path.join(folder, 'file'), 'no folder');
  writeFileSync(
    path.join(folder, 'corrupt.gguf'),
    Buffer.concat([Buffer.from('GGUF'), Buffer.alloc(100, 0xff)]),
  );
  writeFileSync(path.join(folder, 'empty.safetensors'), '');
  writeFileSync(path.join(folder, 'old.ckpt'), Buffer.from([0x80, 0x02, 0x7d]));
  mkdirSync(path.join(folder, 'folder'));

  it.each<[number, string, string[], Record<string, string>?]>([
    [2, "unknown option '--colour'", ['generate', 'x', '--colour', 'red']],
    [2, "unknown command 'paint'", ['paint']],
    [2, 'the prompt is missing', ['generate']],
    [2, 'too many arguments', ['generate', 'a', 'b']],
    [2, 'width: expected a multiple of 8, found 100', ['generate', 'x', '-w', '100']],
    [2, 'height: expected at most 256, found 512', ['generate', 'x', '-h', '512'], { MAX_RES: '256' }],
    [2, 'steps: expected a number, found "many"', ['generate', 'x', '-s', 'many']],
    [2, 'There is no sampler "magic"', ['generate', 'x', '--sampler', 'magic']],
    [2, '--output: expected a name that ends in .png', ['generate', 'x', '-o', 'x.bmp']],
    [2, '--preview: expected a name that ends in .png or .jpg', ['generate', 'x', '--preview', 'x.bmp']],
    [2, '--interactive needs a terminal', ['generate', '-i']],
    [3, 'There is no model file none.gguf', ['generate', 'x', '--model', 'none.gguf']],
    [3, "There is no model 'nonsense'", ['generate', 'x', '--model', 'nonsense']],
    [3, 'there is no such file', ['edit', 'x', 'none.png']],
    [3, 'There is no file none.gguf', ['models', 'inspect', 'none.gguf']],
    [
      4,
      "Model 'flux-q4' is guarded: it needs 8 GB, and 16-18 GB at its peak",
      ['generate', 'x', '--model', 'flux-q4'],
    ],
    [4, "Model 'sdxl' is not on this disk", ['generate', 'x', '--model', 'sdxl']],
    [5, 'corrupt.gguf', ['generate', 'x', '--model', 'corrupt.gguf']],
    [5, 'empty.safetensors', ['generate', 'x', '--model', 'empty.safetensors']],
    [5, 'old.ckpt', ['generate', 'x', '--model', 'old.ckpt']],
    [7, 'there is no such folder', ['generate', 'x', '--output-dir', 'file/below']],
    [7, 'Cannot write to /proc', ['generate', 'x', '--output-dir', '/proc/pictures']],
    [12, 'PORT=x: expected a whole number', ['generate', 'x'], { PORT: 'x' }],
    [12, 'IMAGEFORGE_MODEL=none: expected one of pocket', ['generate', 'x'], { IMAGEFORGE_MODEL: 'none' }],
  ])('exit code %i: %s', async (expected, message, args, env = {}) => {
    const { code, stdout, stderr } = await runCli(args, { folder, env });
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
    const [error, hint, ...more] = stderr.trimEnd().split('\n');
    expect(error).toMatch(/^error: /);
    expect(error).toContain(message);
    if (hint !== undefined) expect(hint).toMatch(/^hint: /);
    expect(more).toEqual([]);
    expect(existsSync(path.join(folder, 'outputs'))).toBe(false);
  });

  it('is one JSON document too with --json', async () => {
    const { code, stdout } = await runCli(['generate', 'x', '-w', '9', '--json'], { folder });
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'INVALID_ARGUMENT' } });
  });

  it('shows a stack trace only when asked', async () => {
    const { stderr } = await runCli(['generate', 'x', '--output-dir', 'file/x', '--verbose'], { folder });
    expect(stderr).toMatch(/\n\s+at /);
  });
});

describe.skipIf(process.platform === 'win32')('a disk that fills up', () => {
  it('leaves nothing half-written', async () => {
    const folder = makeFolder('cli');
    // In blocks of 1 kB: less than the picture, more than the probe file.
    const args = ['generate', 'x', '--steps', '1', '-w', '128', '-h', '128', '--no-cache'];
    const { code, stdout, stderr } = await runCli(args, { folder, shell: 'ulimit -f 4' });
    expect({ code, stdout }).toEqual({ code: 7, stdout: '' });
    expect(stderr).toContain('a limit on the size of files is reached');
    expect(readdirSync(path.join(folder, 'outputs'))).toEqual([]);
  });
});
