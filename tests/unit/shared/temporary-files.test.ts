// Files appear whole or not at all. What killed processes leave is swept, and nothing else.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { hostLabel, isProcessAlive } from '../../../src/shared/processes.js';
import {
  nameTemporary,
  placeNew,
  sweepTemporary,
  writeTemporary,
  writeWhole,
} from '../../../src/shared/temporary-files.js';
import { makeFolder } from '../../folder.js';

let folder: string;
beforeEach(() => {
  folder = makeFolder('temporary');
});

describe('isProcessAlive', () => {
  it('tells living processes, including those of other users, from dead ones', () => {
    expect([process.pid, process.ppid, 1].map(isProcessAlive)).toEqual([true, true, true]);
    const dead = Number(execFileSync(process.execPath, ['-p', 'process.pid']));
    expect([dead, 2 ** 22 + 1, 0, -1, Number.NaN].some(isProcessAlive)).toBe(false);
  });
});

describe('writeWhole', () => {
  it('makes and replaces files, and leaves nothing else', async () => {
    const file = path.join(folder, 'a.json');
    for (const content of ['first', 'second']) {
      await writeWhole(file, Buffer.from(content));
      expect(readFileSync(file, 'utf8')).toBe(content);
    }
    await expect(writeWhole(path.join(folder, 'none/a'), Buffer.of(1))).rejects.toThrow('ENOENT');
    await expect(writeWhole(folder, Buffer.of(1))).rejects.toThrow();
    expect(readdirSync(folder)).toEqual(['a.json']);
    expect(readdirSync(path.dirname(folder)).filter((name) => name.startsWith('.imageforge-'))).toEqual([]);
  });
});

describe('placeNew', () => {
  it('takes only a free name', async () => {
    const final = path.join(folder, 'a');
    expect(await placeNew(await writeTemporary(folder, Buffer.from('first')), final)).toBe(true);
    const second = await writeTemporary(folder, Buffer.from('second'));
    expect(await placeNew(second, final)).toBe(false);
    expect(readFileSync(final, 'utf8')).toBe('first');
    expect(readdirSync(folder).sort()).toEqual([path.basename(second), 'a']);
  });
});

describe('sweepTemporary', () => {
  it('removes what a killed process left, as soon as it is dead', async () => {
    const module = path.resolve(import.meta.dirname, '../../../dist/shared/temporary-files.js');
    const script = `
      const { writeTemporary } = await import(${JSON.stringify(module)});
      console.log(await writeTemporary(${JSON.stringify(folder)}, Buffer.alloc(100)));
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
    const [line] = await once(child.stdout, 'data');
    const left = path.basename(String(line).trim());
    expect(await sweepTemporary(folder)).toEqual([]);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(readdirSync(folder)).toEqual([left]);
    expect(await sweepTemporary(folder)).toEqual([left]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('leaves files of living processes, other machines and people', async () => {
    const dead = Number(execFileSync(process.execPath, ['-p', 'process.pid']));
    const kept = [
      path.basename(nameTemporary(folder)),
      `.imageforge-${hostLabel()}.${process.ppid}.0123456789ab.tmp`,
      `.imageforge-elsewhere.example.${dead}.0123456789ab.tmp`,
      `.imageforge-${hostLabel()}.${dead}.0123456789ab.tmp.png`,
      `imageforge-${hostLabel()}.${dead}.0123456789ab.tmp`,
      'picture.tmp',
    ];
    for (const name of kept) writeFileSync(path.join(folder, name), 'x');
    const swept = `.imageforge-${hostLabel()}.${dead}.0123456789ab.tmp`;
    writeFileSync(path.join(folder, swept), 'x');
    expect(await sweepTemporary(folder)).toEqual([swept]);
    expect(readdirSync(folder).sort()).toEqual(kept.sort());
  });

  it('recognises an earlier process with the same id', async () => {
    const file = await writeTemporary(folder, Buffer.of(1));
    expect(await sweepTemporary(folder)).toEqual([]);
    const before = Date.now() / 1000 - process.uptime() - 60;
    utimesSync(file, before, before);
    expect(await sweepTemporary(folder)).toHaveLength(1);
    expect(existsSync(file)).toBe(false);
  });

  it('ignores a missing folder', async () => {
    expect(await sweepTemporary(path.join(folder, 'none'))).toEqual([]);
  });
});
