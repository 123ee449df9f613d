import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { insertPngText, readPngText } from '../../../../src/service/pictures/png-text.js';

const png = await sharp({ create: { width: 4, height: 4, channels: 3, background: 'red' } })
  .png()
  .toBuffer();

describe('PNG text', () => {
  it('survives a round trip, in Latin-1 and beyond', () => {
    const texts = { parameters: 'a café\nline two', other: '日本語 🎨', empty: '' };
    expect(readPngText(insertPngText(png, texts))).toEqual(texts);
  });

  it('is tEXt if Latin-1 suffices, else iTXt', () => {
    const kinds = (text: string) => insertPngText(png, { a: text }).toString('latin1', 37, 41);
    expect(kinds('é')).toBe('tEXt');
    expect(kinds('€')).toBe('iTXt');
  });

  it('leaves a file that decoders accept, with the same pixels', async () => {
    const written = insertPngText(png, { parameters: 'x'.repeat(5000) });
    const pixels = (file: Buffer) => sharp(file, { failOn: 'warning' }).raw().toBuffer();
    expect(await pixels(written)).toEqual(await pixels(png));
    const { comments } = await sharp(written).metadata();
    expect(comments).toContainEqual({ keyword: 'parameters', text: 'x'.repeat(5000) });
  });

  it('reads compressed text, up to a bound', () => {
    const chunk = (kind: string, data: Buffer) => {
      const head = Buffer.alloc(8);
      head.writeUInt32BE(data.length, 0);
      head.write(kind, 4, 'latin1');
      return Buffer.concat([head, data, Buffer.alloc(4)]);
    };
    const file = Buffer.concat([
      png.subarray(0, 33),
      chunk('zTXt', Buffer.concat([Buffer.from('a\0\0'), deflateSync('packed')])),
      chunk('iTXt', Buffer.concat([Buffer.from('b\0\x01\0en\0\0'), deflateSync(Buffer.from('gepäckt'))])),
      chunk('zTXt', Buffer.concat([Buffer.from('bomb\0\0'), deflateSync(Buffer.alloc(2 ** 25))])),
    ]);
    expect(readPngText(file)).toEqual({ a: 'packed', b: 'gepäckt' });
  });

  it('survives damaged chunks, refuses other files', () => {
    const written = insertPngText(png, { parameters: 'text' });
    for (let length = 33; length < written.length; length += 3)
      expect(() => readPngText(written.subarray(0, length + 1))).not.toThrow();
    for (let at = 33; at < 60; at++) {
      const broken = Buffer.from(written);
      broken[at] = 0xff;
      expect(() => readPngText(broken)).not.toThrow();
    }
    expect(() => readPngText(Buffer.from('GIF89a'))).toThrow('Expected a PNG');
  });
});
