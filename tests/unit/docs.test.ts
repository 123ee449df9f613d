// The documentation: its links resolve, its tables match the program, and the README is short and leads to every page.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ImageForgeError, isErrorCode } from '../../src/shared/errors.js';

const root = path.resolve(import.meta.dirname, '../..');
const read = (name: string) => readFileSync(path.join(root, name), 'utf8');

const pages = [
  ...readdirSync(root),
  ...['docs', 'examples', 'scripts', 'tests', 'assets', 'third_party'].flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
      path.posix.join(folder, name.replaceAll(path.sep, '/')),
    ),
  ),
].filter((name) => name.endsWith('.md') && !name.startsWith('third_party/ggml/source/'));

/** Markdown without its code, in which brackets are not links. */
const proseOf = (text: string) => text.replace(/^```.*?^```$/gms, '').replace(/`[^`\n]*`/g, 'code');

/** What follows # in a link to a heading, as GitHub makes it. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');

const anchorsOf = (text: string) =>
  [...text.replace(/^```.*?^```$/gms, '').matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(heading!));

describe.each(pages)('%s', (page) => {
  const links = [...proseOf(read(page)).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target!)
    .filter((target) => !/^(https?|mailto):/.test(target));

  it('has links that lead to an existing file and heading', () => {
    const broken = links.filter((link) => {
      const [name, anchor] = link.split('#');
      const file = name ? path.join(root, path.dirname(page), name) : path.join(root, page);
      if (!existsSync(file)) return true;
      return anchor !== undefined && !anchorsOf(readFileSync(file, 'utf8')).includes(anchor);
    });
    expect(broken).toEqual([]);
  });
});

it.each(pages.filter((page) => page !== 'CHANGELOG.md'))('%s names files that exist', (page) => {
  const named = read(page).matchAll(/`((?:src|native|tests|scripts|examples|models)\/[\w./-]+)`/g);
  // `native/core/runner` is a pair of files.
  const isThere = (name: string) => ['', '.h'].some((end) => existsSync(path.join(root, name + end)));
  const gone = [...named].map(([, name]) => name!).filter((name) => !isThere(name));
  expect(gone).toEqual([]);
});

describe('README.md', () => {
  const readme = read('README.md');

  it('has at most 120 lines', () => {
    expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(120);
  });

  it('leads to every page in one click', () => {
    const targets = [...readme.matchAll(/\]\(([^)#\s]+)/g)].map(([, target]) => target);
    const wanted = [
      ...readdirSync(path.join(root, 'docs'))
        .filter((name) => name.endsWith('.md'))
        .map((name) => `docs/${name}`),
      'examples/README.md',
      'CONTRIBUTING.md',
      'CHANGELOG.md',
      'SECURITY.md',
    ];
    expect(wanted.filter((page) => !targets.includes(page))).toEqual([]);
  });
});

it('the tables of docs/ match the program', () => {
  // dist/ is built before the tests.
  const { status, stderr } = spawnSync(process.execPath, ['scripts/docs/tables.mjs', '--check'], {
    cwd: root,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

it('docs/mcp.md shows the files of examples/mcp', () => {
  const shown = [...read('docs/mcp.md').matchAll(/^<!-- (examples\/\S+) -->\n```json\n(.*?)^```$/gms)];
  expect(shown.map(([, file]) => path.basename(file!)).sort()).toEqual(
    readdirSync(path.join(root, 'examples/mcp')).sort(),
  );
  for (const [, file, text] of shown) expect(text, file).toBe(read(file!));
});

it('docs/errors.md has every code with its status and its exit code', () => {
  const rows = [...read('docs/errors.md').matchAll(/^\| `(\w+)` \| (\d+) \| (\d+) \|/gm)];
  const told = rows.map(([, code, status, exit]) => [code, Number(status), Number(exit)]);
  const codes = [...read('src/shared/errors.ts').matchAll(/^ {2}([A-Z_]+): \{/gm)].map(([, code]) => code!);
  const known = codes.filter(isErrorCode).map((code) => {
    const { status, exitCode } = new ImageForgeError(code, '');
    return [code, status, exitCode];
  });
  expect(known.length).toBeGreaterThan(20);
  expect(told).toEqual(known);
});
