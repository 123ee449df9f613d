import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { confinePath } from '../../../../src/service/request/paths.js';

const root = realpathSync(mkdtempSync(path.join(tmpdir(), 'imageforge-paths-')));
const outputs = path.join(root, 'outputs');
mkdirSync(path.join(outputs, 'sub'), { recursive: true });
writeFileSync(path.join(outputs, 'a.png'), '');
writeFileSync(path.join(root, 'secret'), '');
symlinkSync(path.join(root, 'secret'), path.join(outputs, 'link.png'));
symlinkSync(root, path.join(outputs, 'up'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const confine = (name: string) => confinePath(name, [outputs], { workingDir: root });

describe('confinePath', () => {
  it.each(['outputs/a.png', path.join(outputs, 'a.png'), 'outputs/sub/../a.png'])('allows %s', (name) => {
    expect(confine(name)).toBe(path.join(outputs, 'a.png'));
  });

  it('allows a missing file, for its reader to report', () => {
    expect(confine('outputs/none.png')).toBe(path.join(outputs, 'none.png'));
  });

  it.each([
    'secret',
    '/etc/passwd',
    'outputs/../secret',
    'outputs/link.png',
    'outputs/up/secret',
    'outputs/up/none',
    '../../x',
    'outputs-of-others/a.png',
  ])('forbids %s', (name) => {
    expect(() => confine(name)).toThrow(expect.objectContaining({ code: 'FORBIDDEN', status: 403 }));
  });
});
