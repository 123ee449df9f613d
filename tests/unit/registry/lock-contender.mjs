// A process that wants locks which others want at the same time.
//
//   node lock-contender.mjs once FOLDER START     in each round takes the lock FOLDER/N, if it can, and keeps it until its
//                                                 stdin ends; it prints "done" when it has all that it could take
//   node lock-contender.mjs often FOLDER START    takes FOLDER/shared again and again; dies now and then while it has it
//
// Each line that it prints is a lock that it took, or "overlap" where somebody else had it too.
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
  // as long as others may still want them, their owner lives
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
