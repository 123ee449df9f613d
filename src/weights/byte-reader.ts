// Reads a file from front to back through one window of bounded size, so that a 20 GB file costs no more than its header.
import { closeSync, openSync, readSync } from 'node:fs';
import { ImageForgeError } from '../shared/errors.js';
import { describeFileError } from '../shared/file-errors.js';
import { invalid } from './check-tensors.js';

const windowBytes = 1 << 20;

export class ByteReader {
  #window: Buffer;
  /** File offset of the window's first byte. */
  #start = 0;
  #at = 0;

  private constructor(
    readonly path: string,
    readonly size: number,
    private readonly fd: number,
    window: Buffer,
  ) {
    this.#window = window;
  }

  /** Opens a file of `size` bytes; the caller closes it. */
  static open(path: string, size: number): ByteReader {
    try {
      return new ByteReader(path, size, openSync(path, 'r'), Buffer.alloc(0));
    } catch (error) {
      throw unreadable(path, error);
    }
  }

  /** Reads bytes in memory; `path` says where they come from. */
  static over(path: string, bytes: Buffer): ByteReader {
    return new ByteReader(path, bytes.length, -1, bytes);
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd);
  }

  /** Bytes from the start to where the reader stands. */
  get position(): number {
    return this.#start + this.#at;
  }

  get left(): number {
    return this.size - this.position;
  }

  u8(): number {
    return this.#take(1).readUInt8();
  }

  i8(): number {
    return this.#take(1).readInt8();
  }

  u16(): number {
    return this.#take(2).readUInt16LE();
  }

  i16(): number {
    return this.#take(2).readInt16LE();
  }

  u32(): number {
    return this.#take(4).readUInt32LE();
  }

  i32(): number {
    return this.#take(4).readInt32LE();
  }

  f32(): number {
    return this.#take(4).readFloatLE();
  }

  f64(): number {
    return this.#take(8).readDoubleLE();
  }

  u64(): bigint {
    return this.#take(8).readBigUInt64LE();
  }

  i64(): bigint {
    return this.#take(8).readBigInt64LE();
  }

  /** Reads an unsigned 64-bit number of at most `limit`; `what` names it in the error. */
  count(limit: number, what: string): number {
    const value = Number(this.u64());
    if (value > limit)
      throw invalid(this.path, `${what} is ${value}, where at most ${Math.floor(limit)} are possible`);
    return value;
  }

  /** Copies the next `length` bytes; the caller bounds `length`. */
  bytes(length: number): Buffer {
    return Buffer.from(this.#take(length));
  }

  text(length: number): string {
    return this.#take(length).toString('utf8');
  }

  skip(length: number): void {
    if (length > this.left) throw this.#ends(length);
    if (this.#at + length <= this.#window.length) {
      this.#at += length;
    } else {
      this.#start = this.position + length;
      this.#window = Buffer.alloc(0);
      this.#at = 0;
    }
  }

  /** Copies bytes that have been read already. */
  again(from: number, to: number): Buffer {
    if (this.fd < 0) return this.#window.subarray(from, to);
    return this.#read(from, to - from);
  }

  /** Returns the next `length` bytes, which are valid until the next read. */
  #take(length: number): Buffer {
    if (this.#at + length > this.#window.length) this.#refill(length);
    const found = this.#window.subarray(this.#at, this.#at + length);
    this.#at += length;
    return found;
  }

  #refill(length: number): void {
    if (length > this.left) throw this.#ends(length);
    const start = this.position;
    this.#window = this.#read(start, Math.min(this.size - start, Math.max(length, windowBytes)));
    this.#start = start;
    this.#at = 0;
  }

  #read(from: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let done = 0; done < length; ) {
      let read: number;
      try {
        read = readSync(this.fd, bytes, done, length - done, from + done);
      } catch (error) {
        throw unreadable(this.path, error);
      }
      if (read === 0) throw this.#ends(length);
      done += read;
    }
    return bytes;
  }

  #ends(length: number): ImageForgeError {
    return invalid(
      this.path,
      `the header wants ${length} bytes at byte ${this.position}, but there are ${this.size}: it is incomplete or damaged`,
      'Download the file again and compare its size and sha256 with the source.',
    );
  }
}

export function unreadable(path: string, cause: unknown): ImageForgeError {
  return new ImageForgeError('WEIGHTS_UNREADABLE', `${path} can't be read: ${describeFileError(cause)}`, {
    details: { file: path },
    cause,
  });
}
