// One process at a time holds a lock, even if its owner dies and several others want it at once.
import { execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { acquireLock, isLockHeld } from '../../../src/registry/lock-file.js';
import { makeFolder } from '../../folder.js';

let folder: string;
let lock: string;
beforeEach(() => {
  folder = makeFolder('lock');
  lock = path.join(folder, 'weights.lock');
});

const dead = `${2 ** 22 + 1} ${hostname()}`;

async function runContenders(mode: 'once' | 'often', count: number): Promise<string[]> {
  const script = path.join(import.meta.dirname, 'lock-contender.mjs');
  const start = String(Date.now() + 1500);
  let busy = count;
  const children = Array.from({ length: count }, () =>
    spawn(process.execPath, [script, mode, folder, start]),
  );
  const outputs = children.map(async (child) => {
    const errors = text(child.stderr);
    const lines: string[] = [];
    for await (const line of createInterface(child.stdout)) {
      if (line !== 'done') lines.push(line);
      else if (--busy === 0) for (const { stdin } of children) stdin.end();
    }
    expect(await errors).toBe('');
    return lines;
  });
  return (await Promise.all(outputs)).flat();
}

describe('acquireLock', () => {
  it('keeps others out until it is released', async () => {
    const release = await acquireLock(lock);
    expect(isLockHeld(lock)).toBe(true);
    await expect(acquireLock(lock)).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringContaining(`Process ${process.pid} on ${hostname()}`),
      hint: expect.stringContaining(lock),
    });
    await release();
    expect(isLockHeld(lock)).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('takes over from a dead process, even from one that died while taking over', async () => {
    writeFileSync(lock, dead);
    expect(isLockHeld(lock)).toBe(false);
    const release = await acquireLock(lock);
    expect(readFileSync(lock, 'utf8')).toContain(`${process.pid} `);
    await release();

    // A process that dies right after it has claimed the lock.
    writeFileSync(lock, dead);
    const { createHash } = await import('node:crypto');
    const claim = `${lock}.${createHash('sha256').update(dead).digest('hex').slice(0, 16)}`;
    writeFileSync(claim, `${2 ** 22 + 2} ${hostname()} 1`);
    await (await acquireLock(lock))();
    expect(readdirSync(folder)).toEqual([]);
  });

  it('waits for a living process that is taking over', async () => {
    const { createHash } = await import('node:crypto');
    writeFileSync(lock, dead);
    const claim = `${lock}.${createHash('sha256').update(dead).digest('hex').slice(0, 16)}`;
    writeFileSync(claim, `${process.ppid} ${hostname()} 1`);
    await expect(acquireLock(lock)).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringContaining(String(process.ppid)),
    });
  });

  it('never takes over a lock of another machine, or one that is being written', async () => {
    for (const owner of [`${2 ** 22 + 1} elsewhere.example 1`, '']) {
      writeFileSync(lock, owner);
      await expect(acquireLock(lock)).rejects.toMatchObject({ code: 'BUSY' });
    }
  });

  it('recognises an earlier process with the same id', async () => {
    writeFileSync(lock, `${process.pid} ${hostname()} 1`);
    await expect(acquireLock(lock)).rejects.toMatchObject({ code: 'BUSY' });
    const before = Date.now() / 1000 - process.uptime() - 60;
    utimesSync(lock, before, before);
    await (await acquireLock(lock))();
  });

  it('leaves a lock that it has lost alone', async () => {
    const release = await acquireLock(lock);
    writeFileSync(lock, `${process.ppid} ${hostname()} 1`);
    await release();
    expect(existsSync(lock)).toBe(true);
  });
});

describe('several processes', () => {
  it('take over a dead lock only once', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['-p', 'process.pid']);
    const rounds = Array.from({ length: 80 }, (_, round) => String(round));
    for (const round of rounds)
      writeFileSync(path.join(folder, `${round}.part.lock`), `${stdout.trim()} ${hostname()}`);
    const taken = await runContenders('once', 4);
    expect(taken.sort()).toEqual(rounds.sort());
  });

  it('share one lock, although they die while they hold it', async () => {
    const taken = await runContenders('often', 8);
    expect(taken.filter((line) => line === 'overlap')).toEqual([]);
    expect(taken.length).toBeGreaterThan(8);
    expect(readdirSync(folder).filter((name) => /^shared\.part\.lock\./.test(name))).toEqual([]);
  });
});
