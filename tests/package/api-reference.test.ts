// The API reference: everything that src/index.ts exports is documented, and typedoc gives no warning.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const manifest = createRequire(import.meta.url).resolve('typedoc/package.json');
const typedoc = path.join(path.dirname(manifest), 'bin/typedoc');

it('typedoc makes the reference without a warning', { timeout: 300_000 }, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [typedoc, '--emit', 'none'], {
    cwd: root,
    env: { ...process.env, NO_COLOR: '1' },
    encoding: 'utf8',
  });
  expect(`${stdout}${stderr}`.trim()).toBe('');
  expect(status).toBe(0);
});
