// The library's examples, compiled and run where the package is installed: examples/library.ts, and what README shows.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { describePicture, examples, makeProject, reason, root, run } from './example.js';

/** The compiler takes ten seconds by itself on a busy machine. */
vi.setConfig({ testTimeout: 180_000 });
const compiler = path.join(root, 'node_modules/typescript/bin/tsc');

/** Compiles a program as its reader's own project would, with the types that the package brings. */
async function compile(folder: string, name: string, text: string): Promise<void> {
  writeFileSync(path.join(folder, name), text);
  const options = ['--strict', '--target', 'es2023', '--module', 'nodenext', '--types', 'node'];
  const lib = ['--lib', 'es2023,esnext.disposable'];
  const { code, stdout } = await run(folder, process.execPath, compiler, ...options, ...lib, name);
  expect(stdout).toBe('');
  expect(code).toBe(0);
}

describe.skipIf(reason)(`the library's examples ${reason}`, () => {
  it('library.ts makes a star red, then blue, and tells its progress', async () => {
    const folder = makeProject('@types/node', 'undici-types');
    await compile(folder, 'library.ts', readFileSync(path.join(examples, 'library.ts'), 'utf8'));
    const { code, stdout, stderr } = await run(folder, process.execPath, 'library.js', folder);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^denoise 1\/\d+$/m);
    expect(stderr).toMatch(/steps of \w+ took \d+\.\d s/);
    const [star, blue] = stdout.trim().split('\n');
    expect([star, blue]).toEqual([path.join(folder, 'star.png'), path.join(folder, 'star-blue.png')]);
    const red = await describePicture(star!);
    expect(red.red).toBeGreaterThan(red.blue + 60);
    const changed = await describePicture(blue!);
    expect(changed.blue).toBeGreaterThan(changed.red + 60);
  });

  it('library.ts says what is wrong by an error of ours', async () => {
    const folder = makeProject('@types/node', 'undici-types');
    await compile(folder, 'library.ts', readFileSync(path.join(examples, 'library.ts'), 'utf8'));
    const { code, stderr } = await run(folder, process.execPath, 'library.js', 'package.json/nowhere');
    expect(stderr).toContain('OUTPUT_UNWRITABLE: ');
    expect(code).toBe(7);
  });

  it('the program in README runs as it stands', async () => {
    const text = readFileSync(path.join(root, 'README.md'), 'utf8');
    const [program] = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
    const folder = makeProject('@types/node', 'undici-types');
    await compile(folder, 'program.ts', program!);
    const { code, stderr } = await run(folder, process.execPath, 'program.js');
    expect(code, stderr).toBe(0);
    const { red, blue } = await describePicture(path.join(folder, 'star.png'));
    expect(red).toBeGreaterThan(blue + 60);
  });
});
