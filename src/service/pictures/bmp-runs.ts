// Decodes the run-length encodings of BMP files: RLE8 and RLE4.

export interface RunPicture {
  width: number;
  height: number;
  /** Bits per pixel: 8 or 4. */
  bits: number;
  /** Offset of the first run. */
  offset: number;
  /** 256 RGB colours. */
  palette: Uint8Array;
}

/** Returns RGB. Pixels that the runs skip get the palette's first colour. @throws Error for runs beyond file or picture. */
export function drawRuns(
  bytes: Uint8Array,
  { width, height, bits, offset, palette }: RunPicture,
): Uint8Array {
  const indices = new Uint8Array(width * height);
  let [x, y, at] = [0, 0, offset];

  const next = (): number => {
    if (at >= bytes.length) throw new Error('the BMP ends in the middle of a run');
    return bytes[at++]!;
  };
  const put = (index: number) => {
    if (y >= height) throw new Error('the BMP has a run beyond its last row');
    // Encoders pad the last word of a row.
    if (x < width) indices[(height - 1 - y) * width + x] = index;
    x++;
  };
  /** Writes `count` pixels from successive bytes, or from one repeated byte. */
  const draw = (count: number, read: () => number) => {
    let byte = 0;
    for (let i = 0; i < count; i++) {
      const high = bits === 8 || i % 2 === 0;
      if (high) byte = read();
      put(bits === 8 ? byte : high ? byte >>> 4 : byte & 15);
    }
  };

  const isFull = () => y >= height || (y === height - 1 && x >= width);
  while (at < bytes.length || !isFull()) {
    const count = next();
    const value = next();
    if (count > 0) draw(count, () => value);
    else if (value === 1) break;
    else if (value === 0) {
      x = 0;
      y++;
    } else if (value === 2) {
      x += next();
      y += next();
    } else {
      const from = at;
      draw(value, next);
      // Literal pixels are padded to 16-bit words.
      at += (at - from) % 2;
    }
  }
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < indices.length; i++)
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = palette[indices[i]! * 3 + c]!;
  return rgb;
}
