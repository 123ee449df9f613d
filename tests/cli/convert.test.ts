// imageforge convert as a process: what it prints, what it refuses, how it ends.
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readWeightFile } from '../../src/weights/read-weight-file.js';
import { makeFolder } from '../folder.js';
import { goldenCase } from '../golden.js';
import { safetensors } from '../unit/weights/make-files.js';
import { runCli } from './run-cli.js';

const input = goldenCase('e2e-sd1').weights();

test('writes a model that generates', async () => {
  const folder = makeFolder('cli');
  const converted = await runCli(
    ['convert', input, 'q8.gguf', '--type', 'Q8_0', '--tensor-type', 'to_v=q4_0'],
    {
      folder,
    },
  );
  expect(converted).toMatchObject({ code: 0, stdout: 'q8.gguf\n' });
  expect(converted.stderr).toMatch(/reading .*\nconverting .*\n.* q8_0/);
  const { tensors } = await readWeightFile(join(folder, 'q8.gguf'));
  expect([...new Set([...tensors.values()].map(({ type }) => type))].sort()).toEqual(
    expect.arrayContaining(['f16', 'f32', 'q4_0', 'q8_0']),
  );
  const made = await runCli(
    [
      'generate',
      'a fox',
      '-m',
      'q8.gguf',
      '-w',
      '64',
      '-h',
      '64',
      '-s',
      '1',
      '--seed',
      '1',
      '-o',
      'a.png',
      '-q',
    ],
    { folder },
  );
  expect(made.code, made.stderr).toBe(0);
  expect(existsSync(join(folder, 'a.png'))).toBe(true);
}, 120_000);

test('refuses before it writes, with exit codes', async () => {
  const folder = makeFolder('cli');
  writeFileSync(join(folder, 'there.gguf'), 'precious');
  const cases: [string[], number, RegExp][] = [
    [[input, 'there.gguf', '--type', 'q8_0'], 7, /is there already[\s\S]*--force/],
    [[input, 'a.gguf', '--type', 'q9'], 2, /expected one of f32/],
    [[input, 'a.gguf'], 2, /--type/],
    [[input, 'a.safetensors', '--type', 'q8_0'], 2, /\.gguf/],
    [[input, 'a.gguf', '--type', 'q8_0', '--tensor-type', 'nowhere=f16'], 2, /no tensor/],
    [['none.safetensors', 'a.gguf', '--type', 'q8_0'], 5, /no such file/],
  ];
  for (const [args, code, message] of cases) {
    const result = await runCli(['convert', ...args], { folder });
    expect(result.stderr).toMatch(message);
    expect(result).toMatchObject({ code, stdout: '' });
  }
  expect(readdirSync(folder)).toEqual(['there.gguf']);
  expect(readFileSync(join(folder, 'there.gguf'), 'utf8')).toBe('precious');
});

test('leaves nothing behind when the disk is full', async () => {
  const folder = makeFolder('cli');
  const result = await runCli(['convert', input, 'a.gguf', '--type', 'f16', '--json'], {
    folder,
    shell: 'ulimit -f 1000',
  });
  expect(result.code).toBe(7);
  expect(JSON.parse(result.stdout)).toMatchObject({ ok: false, error: { code: 'NO_SPACE' } });
  expect(readdirSync(folder)).toEqual([]);
});

test.skipIf(process.platform !== 'linux')(
  'takes less memory than twice the largest tensor (needs Linux)',
  async () => {
    const folder = makeFolder('cli');
    // One tensor of 256 MiB, whose values are a hole in the file.
    const shape = [65536, 2048];
    const bytes = shape[0]! * shape[1]! * 2;
    const name = 'text_model.embeddings.token_embedding.weight';
    const head = safetensors({ [name]: { dtype: 'F16', shape, data_offsets: [0, bytes] } }, Buffer.alloc(0));
    writeFileSync(join(folder, 'large.safetensors'), head);
    truncateSync(join(folder, 'large.safetensors'), head.length + bytes);
    const peak = join(folder, 'peak.mjs');
    writeFileSync(
      peak,
      "import { readFileSync, writeFileSync } from 'node:fs';\n" +
        `process.on('exit', () => writeFileSync('peak', readFileSync('/proc/self/status')));\n`,
    );
    const { code, stderr } = await runCli(['convert', 'large.safetensors', 'small.gguf', '--type', 'q8_0'], {
      folder,
      env: { NODE_OPTIONS: `--import=file://${peak}` },
    });
    expect(code, stderr).toBe(0);
    const kilobytes = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(join(folder, 'peak'), 'utf8'))![1]);
    expect(kilobytes * 1024).toBeLessThan(2 * bytes);
  },
  120_000,
);
