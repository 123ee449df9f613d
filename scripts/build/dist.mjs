// Compiles src/ into dist/ and copies what TypeScript leaves behind (vocabularies, web pages).

import { spawnSync } from 'node:child_process';
import { cp, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

const compiler = require.resolve('typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [compiler, '-p', root], { stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);

for (const entry of await readdir(path.join(root, 'src'), { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || entry.name.endsWith('.ts')) continue;
  const file = path.relative(path.join(root, 'src'), path.join(entry.parentPath ?? entry.path, entry.name));
  await cp(path.join(root, 'src', file), path.join(root, 'dist', file), { recursive: true });
}
