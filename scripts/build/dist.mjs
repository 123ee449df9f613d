// Compiles src/ into dist/, copies files that TypeScript does not handle (vocabularies, web pages) and removes files whose
// source is gone. Does nothing if dist/ is newer than every source, since npx runs a clone's prepare script again.

import { spawnSync } from 'node:child_process';
import { chmod, cp, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const stamp = path.join(root, 'build/dist.stamp');

const entries = await readdir(path.join(root, 'src'), { recursive: true, withFileTypes: true });
const sources = entries
  .filter((entry) => entry.isFile())
  .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));

if (!(await isCurrent())) {
  await rm(stamp, { force: true });
  const compiler = require.resolve('typescript/bin/tsc');
  const { status } = spawnSync(process.execPath, [compiler, '-p', root], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
  for (const file of sources) {
    if (file.endsWith('.ts')) continue;
    await cp(file, path.join(root, 'dist', path.relative(path.join(root, 'src'), file)));
  }
  await removeOrphans();
  await mkdir(path.dirname(stamp), { recursive: true });
  await writeFile(stamp, `${sources.length}\n`);
}
// npm makes the command executable only when it first links it, so npx would fail in a fresh clone at an old path.
await chmod(path.join(root, 'dist/cli/main.js'), 0o755);

async function removeOrphans() {
  const dist = path.join(root, 'dist');
  const wanted = new Set();
  for (const file of sources) {
    const name = path.relative(path.join(root, 'src'), file);
    const names = name.endsWith('.ts')
      ? [name.replace(/\.ts$/, '.js'), name.replace(/\.ts$/, '.d.ts')]
      : [name];
    for (const made of names) wanted.add(path.join(dist, made));
  }
  for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile() && !wanted.has(file)) await rm(file);
  }
}

async function isCurrent() {
  const time = async (file) => (await stat(file).catch(() => undefined))?.mtimeMs;
  const made = await time(stamp);
  if (made === undefined || (await time(path.join(root, 'dist/index.js'))) === undefined) return false;
  const inputs = [...sources, path.join(root, 'tsconfig.json'), path.join(root, 'package.json')];
  // Check folders too: removing a source updates its folder's time.
  const folders = entries.filter((entry) => entry.isDirectory());
  inputs.push(
    path.join(root, 'src'),
    ...folders.map((entry) => path.join(entry.parentPath ?? entry.path, entry.name)),
  );
  const times = await Promise.all(inputs.map(time));
  return times.every((value) => value !== undefined && value <= made);
}
