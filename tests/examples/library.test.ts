// The library's examples, compiled and run where the package is installed: examples/library.ts, and the one in the README.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { describePicture, examples, makeProject, reason, root, run } from './example.js';

const compiler = path.join(root, 'node_modules/typescript/bin/tsc');

describe.skipIf(reason)(`the library's examples ${reason}`, () => {
  let folder = '';

  // Compile them as a reader's own project would, with the types in the package.
  beforeAll(async () => {
    folder = makeProject('@types/node', 'undici-types');
    const [program] = [
      ...readFileSync(path.join(root, 'README.md'), 'utf8').matchAll(/^```ts\n(.*?)^```$/gms),
    ];
    writeFileSync(path.join(folder, 'readme.ts'), program![1]!);
    writeFileSync(path.join(folder, 'library.ts'), readFileSync(path.join(examples, 'library.ts')));
    const options = ['--strict', '--skipLibCheck', '--target', 'es2023', '--module', 'nodenext'];
    const types = ['--types', 'node', '--lib', 'es2023,esnext.disposable'];
    const files = ['readme.ts', 'library.ts'];
    const { code, stdout } = await run(folder, process.execPath, compiler, ...options, ...types, ...files);
    expect(stdout).toBe('');
    expect(code).toBe(0);
  });

  it('library.ts makes a star red, then blue, and reports progress', async () => {
    const { code, stdout, stderr } = await run(folder, process.execPath, 'library.js', folder);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/^denoise 1\/\d+$/m);
    expect(stderr).toMatch(/steps of \w+ took \d+\.\d s/);
    const files = ['star.png', 'star-blue.png'].map((name) => path.join(folder, name));
    expect(stdout.trim().split('\n')).toEqual(files);
    const [star, blue] = await Promise.all(files.map(describePicture));
    expect(star!.red).toBeGreaterThan(star!.blue + 60);
    expect(blue!.blue).toBeGreaterThan(blue!.red + 60);
  });

  it('library.ts reports what is wrong with a typed error', async () => {
    const { code, stderr } = await run(folder, process.execPath, 'library.js', 'package.json/nowhere');
    expect(stderr).toContain('OUTPUT_UNWRITABLE: ');
    expect(code).toBe(7);
  });

  it('the program in the README runs as it is', async () => {
    const { code, stderr } = await run(folder, process.execPath, 'readme.js');
    expect(code, stderr).toBe(0);
    const { red, blue } = await describePicture(path.join(folder, 'star.png'));
    expect(red).toBeGreaterThan(blue + 60);
  });
});
