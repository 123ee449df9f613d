// The printable characters that represent bytes in the vocabularies of byte-level BPE (GPT-2's table).

const printable = [
  [0x21, 0x7e],
  [0xa1, 0xac],
  [0xae, 0xff],
].flatMap(([from, to]) => Array.from({ length: to! - from! + 1 }, (_, i) => from! + i));
const others = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !printable.includes(byte));

/** All bytes in the table's order: first those that represent themselves, then the others, which become U+0100 … */
export const byteOrder: readonly number[] = [...printable, ...others];

/** Byte -> the character that represents it. */
export const byteSymbols: readonly string[] = (() => {
  const symbols = new Array<string>(256);
  for (const byte of printable) symbols[byte] = String.fromCodePoint(byte);
  for (const [i, byte] of others.entries()) symbols[byte] = String.fromCodePoint(256 + i);
  return symbols;
})();
