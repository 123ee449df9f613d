// `npm run check:package`: checks the package. knip looks for unused files, exports and dependencies; publint and "are the
// types wrong" check the tarball, which is packed once from dist/.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(path.join(os.tmpdir(), 'imageforge-pack-'));

/** Runs a tool from node_modules by its command. Returns whether it found nothing wrong. */
function check(name, command, ...args) {
  const home = path.join(root, 'node_modules', name);
  const { bin } = require(path.join(home, 'package.json'));
  const script = path.join(home, typeof bin === 'string' ? bin : bin[command]);
  return spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' }).status === 0;
}

try {
  const pack = ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder];
  const { status, stdout } = spawnSync('npm', pack, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (status !== 0) throw new Error('npm pack failed');
  const tarball = path.join(folder, stdout.trim().split('\n').at(-1));
  const results = [
    check('knip', 'knip', '--no-progress'),
    check('publint', 'publint', 'run', tarball, '--strict'),
    check('@arethetypeswrong/cli', 'attw', tarball, '--profile', 'esm-only', '--no-definitely-typed'),
  ];
  process.exitCode = results.every(Boolean) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
