// The printable characters that stand for bytes in the vocabularies of byte-level BPE (GPT-2's table).

const printable = [
  [0x21, 0x7e],
  [0xa1, 0xac],
  [0xae, 0xff],
].flatMap(([from, to]) => Array.from({ length: to! - from! + 1 }, (_, i) => from! + i));
const others = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !printable.includes(byte));

/** All bytes in the table's order: those that print as themselves, then the others, which print as U+0100 … */
export const byteOrder: readonly number[] = [...printable, ...others];

/** Byte -> the character that stands for it. */
export const byteSymbols: readonly string[] = (() => {
  const symbols = new Array<string>(256);
  for (const byte of printable) symbols[byte] = String.fromCodePoint(byte);
  for (const [i, byte] of others.entries()) symbols[byte] = String.fromCodePoint(256 + i);
  return symbols;
})();
