// Checks the format of the C++ sources with the pinned clang-format; --fix rewrites them.
//
//   node scripts/check/clang-format.mjs [--fix] [file …]      without files: all that git tracks in native/
import { execFileSync, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const require = createRequire(import.meta.url);
const binary = path.join(path.dirname(require.resolve('clang-format/package.json')), 'index.js');
const named = process.argv.slice(2).filter((argument) => argument !== '--fix');
const files = named.length > 0 ? named : listSources();
if (files.length === 0) throw new Error('found no C++ files; run this inside a git checkout');
const mode = process.argv.includes('--fix') ? ['-i'] : ['--dry-run', '--Werror'];
const { status } = spawnSync(process.execPath, [binary, ...mode, ...files], { cwd: root, stdio: 'inherit' });
process.exit(status ?? 1);

function listSources() {
  const options = { cwd: root, encoding: 'utf8' };
  const listed = execFileSync('git', ['ls-files', 'native/**/*.h', 'native/**/*.cpp'], options);
  return listed.split('\n').filter(Boolean);
}
