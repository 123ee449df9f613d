// SentencePiece's compiled normalization ("nmt_nfkc"): a double-array trie (Darts, Yata) that maps UTF-8 prefixes to
// their replacements. The longest match wins.

export class Charsmap {
  readonly #units: Uint32Array;
  readonly #replacements: Buffer;

  /** @throws RangeError if the bytes are not such a map */
  constructor(bytes: Uint8Array) {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const trieBytes = buffer.readUInt32LE(0);
    if (trieBytes % 4 !== 0 || trieBytes === 0 || 4 + trieBytes > buffer.length)
      throw new RangeError(`its trie has ${trieBytes} of ${buffer.length} bytes`);
    this.#units = Uint32Array.from({ length: trieBytes / 4 }, (_, i) => buffer.readUInt32LE(4 + 4 * i));
    this.#replacements = buffer.subarray(4 + trieBytes);
  }

  normalize(text: string): string {
    const bytes = Buffer.from(text, 'utf8');
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const match = this.#longestPrefix(bytes, at);
      if (match) parts.push(match.replacement);
      const length = match?.length ?? characterLength(bytes[at]!);
      if (!match) parts.push(bytes.subarray(at, at + length));
      at += length;
    }
    return Buffer.concat(parts).toString('utf8');
  }

  #longestPrefix(bytes: Buffer, from: number): { length: number; replacement: Buffer } | undefined {
    let node = offsetOf(this.#units[0]!);
    let found: { length: number; replacement: Buffer } | undefined;
    for (let at = from; at < bytes.length; at++) {
      node ^= bytes[at]!;
      const unit = this.#units[node];
      if (unit === undefined || (unit & 0x800000ff) !== bytes[at]) break;
      node ^= offsetOf(unit);
      if (unit & 0x100) {
        const start = (this.#units[node] ?? 0) & 0x7fffffff;
        found = { length: at + 1 - from, replacement: this.#replacementAt(start) };
      }
    }
    return found;
  }

  #replacementAt(start: number): Buffer {
    const end = this.#replacements.indexOf(0, start);
    return this.#replacements.subarray(start, end === -1 ? undefined : end);
  }
}

function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

/** How many bytes the UTF-8 character has that begins with this byte. */
function characterLength(first: number): number {
  if (first < 0x80) return 1;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}
