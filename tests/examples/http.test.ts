// examples/http_client.py with Python's standard library, and examples/openai.mjs with OpenAI's client, against a real server.
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeFolder } from '../folder.js';
import { describePicture, examples, makeProject, reason, root, run, serve } from './example.js';

const python = spawnSync('python3', ['--version']).status === 0;

describe.skipIf(reason)(`clients of imageforge serve ${reason}`, () => {
  let server = '';
  beforeAll(async () => {
    server = await serve(makeFolder('example-server'));
  });

  describe.skipIf(!python)(`http_client.py ${python ? '' : '(skipped: no python3 on this machine)'}`, () => {
    const script = path.join(examples, 'http_client.py');

    it('follows a job and saves its picture', async () => {
      const folder = makeFolder('example');
      const file = path.join(folder, 'star.png');
      const asked = 'a red star on a white background';
      const { code, stdout, stderr } = await run(folder, 'python3', script, asked, file, server);
      expect(code, stderr).toBe(0);
      expect(stdout.trim()).toBe(file);
      const steps = stderr.trim().split('\n');
      expect(steps[0]).toBe(`step 1 of ${steps.length}`);
      expect(steps.length).toBeGreaterThan(3);
      const { width, height, red, blue } = await describePicture(file);
      expect([width, height]).toEqual([128, 128]);
      expect(red).toBeGreaterThan(blue + 60);
    });

    it('reports what the server said when it refuses', async () => {
      const folder = makeFolder('example');
      const { code, stderr } = await run(folder, 'python3', script, 'a'.repeat(10_001), 'star.png', server);
      expect(stderr).toMatch(/^INVALID_ARGUMENT: .*prompt/);
      expect(code).toBe(1);
    });
  });

  it('docs/http.md lists every route', async () => {
    const document = await (await fetch(`${server}/openapi.json`)).json();
    const offered = Object.entries<object>(document.paths).flatMap(([route, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${route}`),
    );
    const page = readFileSync(path.join(root, 'docs/http.md'), 'utf8');
    const told = [...page.matchAll(/^\| `([A-Z]+ \S+)` \|/gm)].map(([, route]) => route!);
    expect(told.sort()).toEqual(offered.sort());
  });

  it('openai.mjs makes a star red, then blue', async () => {
    const folder = makeProject('openai');
    copyFileSync(path.join(examples, 'openai.mjs'), path.join(folder, 'openai.mjs'));
    const { code, stdout, stderr } = await run(folder, process.execPath, 'openai.mjs', folder, server);
    expect(code, stderr).toBe(0);
    const files = stdout.trim().split('\n');
    expect(files).toEqual([path.join(folder, 'star.png'), path.join(folder, 'star-blue.png')]);
    const [star, blue] = await Promise.all(files.map(describePicture));
    expect(star!.red).toBeGreaterThan(star!.blue + 60);
    expect(blue!.blue).toBeGreaterThan(blue!.red + 60);
  });
});
