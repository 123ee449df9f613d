// Makes assets/clip-merges.bin from CLIP's published merges file (bpe_simple_vocab_16e6.txt.gz, MIT licence).
// Usage: node scripts/assets/clip-merges.mjs path/to/bpe_simple_vocab_16e6.txt.gz
import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const mergeCount = 49152 - 256 - 2; // the published vocabulary uses this many lines of the file
const [, , source] = process.argv;
if (!source) throw new Error('Give the path of bpe_simple_vocab_16e6.txt.gz.');

const symbols = byteSymbols();
const ids = new Map([...symbols, ...symbols.map((symbol) => `${symbol}</w>`)].map((text, id) => [text, id]));
const pairs = new Uint16Array(2 * mergeCount);
const lines = gunzipSync(readFileSync(source)).toString('utf8').split('\n');
for (let rank = 0; rank < mergeCount; rank++) {
  const [left, right] = lines[rank + 1].trim().split(' '); // the first line is a comment
  pairs[2 * rank] = ids.get(left);
  pairs[2 * rank + 1] = ids.get(right);
  ids.set(left + right, 512 + rank);
}
writeFileSync(new URL('../../assets/clip-merges.bin', import.meta.url), pairs);

/** The 256 characters that stand for bytes, in order of their ids: printable bytes first, then the others. */
function byteSymbols() {
  const printable = [
    [0x21, 0x7e],
    [0xa1, 0xac],
    [0xae, 0xff],
  ].flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
  return [...printable, ...Array.from({ length: 256 - printable.length }, (_, i) => 256 + i)].map((code) =>
    String.fromCodePoint(code),
  );
}
