// A process that competes with others for locks.
//
//   node lock-contender.mjs once FOLDER START     in each round takes the lock FOLDER/N, if it can, and keeps it until its
//                                                 stdin ends; prints "done" when it has tried them all
//   node lock-contender.mjs often FOLDER START    takes FOLDER/shared repeatedly, and sometimes dies while it holds it
//
// Each line of output is a lock that it took, or "overlap" if another process held it too.
import { mkdirSync, rmdirSync, writeSync } from 'node:fs';
import path from 'node:path';
import { PartialFile } from '../../../dist/registry/partial-file.js';

const [mode, folder, start] = process.argv.slice(2);
const print = (line) => writeSync(1, `${line}\n`);
const take = (name) =>
  PartialFile.open(path.join(folder, name), { size: 8, sha256: '0'.repeat(64) }, 8).catch((error) => {
    if (error.code !== 'BUSY') throw error;
  });

const kept = [];
if (mode === 'once') {
  for (let round = 0; round < 80; round++) {
    while (Date.now() < Number(start) + round * 20);
    const file = await take(String(round));
    if (!file) continue;
    kept.push(file);
    print(round);
  }
  // Stay alive as long as others may still want the locks.
  print('done');
  for await (const _ of process.stdin);
} else {
  while (Date.now() < Number(start));
  for (let taken = 0; taken < 10; ) {
    const file = await take('shared');
    if (!file) continue;
    try {
      mkdirSync(path.join(folder, 'inside'));
      rmdirSync(path.join(folder, 'inside'));
      print(`taken ${++taken}`);
    } catch {
      print('overlap');
    }
    if (Math.random() < 0.1) process.kill(process.pid, 'SIGKILL');
    await file.suspend();
  }
}
process.exit();
