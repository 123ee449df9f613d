// Encodes pictures in the format that a client of OpenAI's API asks for.

export interface EncodingOptions {
  output_format?: 'png' | 'jpeg' | 'webp' | null | undefined;
  output_compression?: number | null | undefined;
}

export interface Encoding {
  format: 'png' | 'jpeg' | 'webp';
  /** For jpeg and webp, 1 to 100. */
  quality: number;
}

export function readEncoding({ output_format, output_compression }: EncodingOptions): Encoding {
  return { format: output_format ?? 'png', quality: Math.max(1, output_compression ?? 100) };
}

/** Encodes the picture in base64. A PNG that is wanted as PNG keeps its bytes, parameters included. */
export async function encodeImage(picture: Buffer, { format, quality }: Encoding): Promise<string> {
  const isPng = picture[0] === 0x89;
  if (format === 'png' && isPng) return picture.toString('base64');
  const { default: sharp } = await import('sharp');
  const options = format === 'png' ? {} : { quality };
  return (await sharp(picture).toFormat(format, options).toBuffer()).toString('base64');
}
