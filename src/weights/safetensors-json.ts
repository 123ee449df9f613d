// Parses the JSON header of a safetensors file. JSON.parse would silently drop duplicate keys, and build whatever a hostile
// header says. This parser knows the form of a header and refuses everything else; it reads every header that the
// reference implementation reads, but for duplicate keys, which the format forbids.
import { invalid, maxDimensions, maxNameBytes, maxTensors } from './check-tensors.js';

export interface HeaderEntry {
  dtype: string;
  shape: number[];
  begin: number;
  end: number;
}

export interface SafetensorsHeader {
  tensors: Map<string, HeaderEntry>;
  metadata: Map<string, string>;
}

/** A byte order mark is a character of a name, like any other. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const maxTextBytes = 1 << 26;
const maxSkippedDepth = 16;
const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a];
const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d];

export function parseHeader(path: string, json: Buffer): SafetensorsHeader {
  return new HeaderParser(path, json).parse();
}

class HeaderParser {
  #at = 0;

  constructor(
    private readonly path: string,
    private readonly json: Buffer,
  ) {}

  parse(): SafetensorsHeader {
    const tensors = new Map<string, HeaderEntry>();
    let metadata: Map<string, string> | undefined;
    this.#object((name) => {
      if (name === '__metadata__') {
        if (metadata) throw this.#error('__metadata__ is there twice');
        metadata = this.#acceptWord('null') ? new Map() : this.#metadata();
        return;
      }
      if (tensors.has(name)) throw this.#error(`tensor ${name} is there twice`);
      if (tensors.size >= maxTensors) throw this.#error(`there are more than ${maxTensors} tensors`);
      tensors.set(name, this.#entry(name));
    });
    if (this.#peek() !== undefined) throw this.#error('there is something behind the JSON object');
    return { tensors, metadata: metadata ?? new Map() };
  }

  #entry(name: string): HeaderEntry {
    const seen = new Set<string>();
    let dtype: string | undefined;
    let shape: number[] | undefined;
    let offsets: number[] | undefined;
    this.#object((key) => {
      if (seen.has(key)) throw this.#error(`tensor ${name} has ${key} twice`);
      seen.add(key);
      if (key === 'dtype') dtype = this.#string(64);
      else if (key === 'shape') shape = this.#integers(maxDimensions, `the shape of ${name}`);
      else if (key === 'data_offsets') offsets = this.#integers(2, `data_offsets of ${name}`);
      else this.#skipValue(0);
    });
    if (dtype === undefined || shape === undefined || offsets?.length !== 2)
      throw this.#error(`tensor ${name} lacks its dtype, its shape or its two data_offsets`);
    return { dtype, shape, begin: offsets[0]!, end: offsets[1]! };
  }

  /** Strings. Some writers leave other values here, which keep their JSON form. */
  #metadata(): Map<string, string> {
    const metadata = new Map<string, string>();
    this.#object((key) => {
      if (metadata.has(key)) throw this.#error(`the metadata key ${key} is there twice`);
      if (this.#peek() === quote) {
        metadata.set(key, this.#string(maxTextBytes));
      } else {
        const from = this.#at;
        this.#skipValue(0);
        metadata.set(key, this.json.toString('utf8', from, this.#at));
      }
    });
    return metadata;
  }

  #object(member: (key: string) => void): void {
    this.#expect(openBrace, '{');
    if (this.#accept(closeBrace)) return;
    do {
      const key = this.#string(maxNameBytes);
      this.#expect(colon, ':');
      member(key);
    } while (this.#accept(comma));
    this.#expect(closeBrace, '}');
  }

  #integers(limit: number, what: string): number[] {
    const values: number[] = [];
    this.#expect(openBracket, '[');
    if (this.#accept(closeBracket)) return values;
    do {
      if (values.length === limit) throw this.#error(`${what} has more than ${limit} numbers`);
      values.push(this.#integer(what));
    } while (this.#accept(comma));
    this.#expect(closeBracket, ']');
    return values;
  }

  #integer(what: string): number {
    this.#peek();
    const from = this.#at;
    while (isDigit(this.json[this.#at])) this.#at++;
    const digits = this.json.toString('latin1', from, Math.min(this.#at, from + 20));
    const value = Number(digits);
    if (digits === '' || /^0\d/.test(digits) || !Number.isSafeInteger(value))
      throw this.#error(`${what} should hold whole numbers; ${digits || 'none'} was found`);
    return value;
  }

  #string(limit: number): string {
    this.#expect(quote, 'a string');
    const from = this.#at;
    let escaped = false;
    for (; this.json[this.#at] !== quote; this.#at++) {
      const byte = this.json[this.#at];
      if (byte === undefined || byte < 0x20) throw this.#error('a string has no end');
      if (this.#at - from >= limit) throw this.#error(`a string is longer than ${limit} bytes`);
      if (byte === backslash) {
        escaped = true;
        this.#at++;
      }
    }
    const text = this.#decode(this.json.subarray(from, this.#at));
    this.#at++;
    if (!escaped) return text;
    try {
      return JSON.parse(`"${text}"`) as string;
    } catch {
      throw this.#error('a string has an unknown escape');
    }
  }

  #decode(bytes: Uint8Array): string {
    try {
      return utf8.decode(bytes);
    } catch {
      throw this.#error('a string is not valid UTF-8');
    }
  }

  #skipValue(depth: number): void {
    if (depth > maxSkippedDepth) throw this.#error(`values lie in each other ${maxSkippedDepth} deep`);
    const first = this.#peek();
    if (first === openBrace) {
      this.#object(() => this.#skipValue(depth + 1));
    } else if (first === openBracket) {
      this.#at++;
      if (this.#accept(closeBracket)) return;
      do this.#skipValue(depth + 1);
      while (this.#accept(comma));
      this.#expect(closeBracket, ']');
    } else if (first === quote) {
      this.#string(maxTextBytes);
    } else {
      const from = this.#at;
      while (isScalarByte(this.json[this.#at])) this.#at++;
      if (this.#at === from) throw this.#error('a value is missing');
    }
  }

  /** The next byte that isn't white space. */
  #peek(): number | undefined {
    while (isSpace(this.json[this.#at])) this.#at++;
    return this.json[this.#at];
  }

  #accept(byte: number): boolean {
    if (this.#peek() !== byte) return false;
    this.#at++;
    return true;
  }

  #acceptWord(word: string): boolean {
    this.#peek();
    if (this.json.toString('latin1', this.#at, this.#at + word.length) !== word) return false;
    this.#at += word.length;
    return true;
  }

  #expect(byte: number, what: string): void {
    if (!this.#accept(byte)) throw this.#error(`${what} was expected`);
  }

  #error(what: string) {
    return invalid(this.path, `safetensors header, byte ${this.#at}: ${what}`);
  }
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** Bytes of numbers, true, false and null. */
function isScalarByte(byte: number | undefined): boolean {
  return (
    isDigit(byte) ||
    byte === 0x2b ||
    byte === 0x2d ||
    byte === 0x2e ||
    (byte !== undefined && byte > 0x60 && byte < 0x7b) ||
    byte === 0x45
  );
}
