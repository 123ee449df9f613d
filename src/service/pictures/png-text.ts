// Text inside PNG files: inserts tEXt (Latin-1) or iTXt (UTF-8) chunks into an encoded file, and reads these and zTXt.
// See section 11.3.3 of the PNG specification, third edition.
import { crc32, inflateSync } from 'node:zlib';
import { ImageForgeError } from '../../shared/errors.js';

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
/** The signature and the IHDR chunk, which always comes first. */
const HEADER_END = 8 + 12 + 13;
const MAX_INFLATED = 2 ** 24;

/** Returns a copy of the file with one text chunk per entry after the header. Keywords have 1 to 79 Latin-1 characters. */
export function insertPngText(png: Uint8Array, entries: Record<string, string>): Buffer {
  requirePng(png);
  const chunks = Object.entries(entries).map(([keyword, text]) => makeTextChunk(keyword, text));
  return Buffer.concat([png.subarray(0, HEADER_END), ...chunks, png.subarray(HEADER_END)]);
}

/** Reads every text of the file by keyword. Stops at a damaged chunk and keeps what came before it. */
export function readPngText(png: Uint8Array): Record<string, string> {
  requirePng(png);
  const file = Buffer.from(png.buffer, png.byteOffset, png.byteLength);
  const texts: Record<string, string> = {};
  for (let at = 8; at + 12 <= file.length; ) {
    const length = file.readUInt32BE(at);
    const kind = file.toString('latin1', at + 4, at + 8);
    const end = at + 12 + length;
    if (end > file.length || kind === 'IEND') break;
    const text = readTextChunk(kind, file.subarray(at + 8, end - 4));
    if (text) texts[text.keyword] = text.value;
    at = end;
  }
  return texts;
}

function makeTextChunk(keyword: string, text: string): Buffer {
  const name = Buffer.from(keyword, 'latin1');
  if (name.length < 1 || name.length > 79) throw new RangeError(`PNG keyword of ${name.length} bytes`);
  const value = text.replaceAll('\0', '');
  // iTXt: keyword, 0, not compressed, method 0, no language, no translated keyword.
  return isLatin1(value)
    ? makeChunk('tEXt', Buffer.concat([name, Buffer.of(0), Buffer.from(value, 'latin1')]))
    : makeChunk('iTXt', Buffer.concat([name, Buffer.of(0, 0, 0, 0, 0), Buffer.from(value, 'utf8')]));
}

function makeChunk(kind: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(kind, 'latin1'), data]);
  const chunk = Buffer.alloc(body.length + 8);
  chunk.writeUInt32BE(data.length, 0);
  body.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(body), body.length + 4);
  return chunk;
}

function readTextChunk(kind: string, data: Buffer): { keyword: string; value: string } | undefined {
  if (kind !== 'tEXt' && kind !== 'zTXt' && kind !== 'iTXt') return undefined;
  const split = data.indexOf(0);
  if (split < 1) return undefined;
  const keyword = data.toString('latin1', 0, split);
  const rest = data.subarray(split + 1);
  if (kind === 'tEXt') return { keyword, value: rest.toString('latin1') };
  if (kind === 'zTXt') {
    const value = inflate(rest.subarray(1))?.toString('latin1');
    return value === undefined ? undefined : { keyword, value };
  }
  const language = rest.indexOf(0, 2);
  const translated = language < 0 ? -1 : rest.indexOf(0, language + 1);
  if (translated < 0) return undefined;
  const text = rest.subarray(translated + 1);
  const value = (rest[0] === 0 ? text : inflate(text))?.toString('utf8');
  return value === undefined ? undefined : { keyword, value };
}

function inflate(data: Buffer): Buffer | undefined {
  try {
    return inflateSync(data, { maxOutputLength: MAX_INFLATED });
  } catch {
    return undefined;
  }
}

function isLatin1(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) return false;
  return true;
}

function requirePng(png: Uint8Array): void {
  const starts = png.length > HEADER_END && SIGNATURE.every((byte, i) => png[i] === byte);
  if (!starts) throw new ImageForgeError('INVALID_ARGUMENT', 'Expected a PNG file, found something else.');
}
