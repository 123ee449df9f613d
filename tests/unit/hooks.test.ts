// The git hooks, run by git itself in a separate repository.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeFolder } from '../folder.js';

const root = path.resolve(import.meta.dirname, '../..');
const lefthook = path.join(root, 'node_modules/lefthook/bin/index.js');
const reason = existsSync(lefthook) ? '' : '(skipped: lefthook is not installed)';

describe.skipIf(reason)(`git hooks ${reason}`, () => {
  const folder = makeFolder('hooks');
  const env = { PATH: process.env.PATH, HOME: folder, GIT_CONFIG_NOSYSTEM: '1', NO_COLOR: '1' };
  const git = (...args: string[]) => execFileSync('git', args, { cwd: folder, env, encoding: 'utf8' });

  /** Commits files and returns what the hooks said. */
  function commit(message: string, files: Record<string, string>) {
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
    git('add', ...Object.keys(files));
    const { status, stderr, stdout } = spawnSync('git', ['commit', '-m', message], {
      cwd: folder,
      env,
      encoding: 'utf8',
    });
    return { accepted: status === 0, said: stdout + stderr };
  }

  beforeAll(() => {
    for (const name of ['lefthook.yml', 'biome.json', '.clang-format', 'scripts/check'])
      cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
    for (const name of ['src', 'native/core']) mkdirSync(path.join(folder, name), { recursive: true });
    symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'), 'junction');
    writeFileSync(path.join(folder, '.gitignore'), 'node_modules\n');
    git('init', '--quiet');
    git('config', 'user.name', 'Somebody');
    git('config', 'user.email', 'somebody@example.org');
    execFileSync(process.execPath, [lefthook, 'install'], { cwd: folder, env, stdio: 'ignore' });
  });

  it('format what is committed', () => {
    const { accepted, said } = commit('Two files', {
      'src/one.ts': 'export const one   = {a:1}\n',
      'native/core/two.cpp': 'int   two( ){return 2;}\n',
    });
    expect(accepted, said).toBe(true);
    expect(git('show', 'HEAD:src/one.ts')).toBe('export const one = { a: 1 };\n');
    expect(git('show', 'HEAD:native/core/two.cpp')).toBe('int two() { return 2; }\n');
    expect(readFileSync(path.join(folder, 'src/one.ts'), 'utf8')).toContain('{ a: 1 }');
  });

  it('refuse what the linter refuses', () => {
    const { accepted, said } = commit('A fault', { 'src/fault.ts': "import { a } from 'b';\nconst = ;\n" });
    expect(accepted).toBe(false);
    expect(said).toContain('src/fault.ts');
    git('rm', '--quiet', '--force', '--cached', 'src/fault.ts');
  });

  it.each([
    ['a subject of 71 characters', 'S'.repeat(71), true],
    ['a subject of 72 characters', 'S'.repeat(72), false],
    ['a subject and a body', 'Subject\n\nThe reason, as long as it takes.', true],
    ['a body without an empty line before it', 'Subject\nThe reason.', false],
    ['a subject that git derived from another', `fixup! ${'S'.repeat(71)}`, true],
  ])('%s: accepted or refused', (_, message, accepted) => {
    const made = commit(message, { note: message });
    expect(made.accepted, made.said).toBe(accepted);
    if (!accepted) expect(made.said).toMatch(/72 characters|second line/);
  });
});
