// Reads the forms in which OpenAI clients send pictures (multipart, or JSON with data URLs), and their masks.
import type { Context } from 'hono';
import { z } from 'zod';
import { openPicture } from '../../../service/pictures/codec.js';
import { innerType } from '../../../service/request/field.js';
import { ImageForgeError } from '../../../shared/errors.js';
import { refuseField } from '../../errors.js';
import { readBase64 } from '../webui/fields.js';

export type Fields = Record<string, unknown>;

/**
 * Reads a form. Form values are strings; those that `shape` declares as another type are converted. Files with the same
 * name are kept together, and so are the entries of a list; of other strings with the same name the last one counts.
 */
export async function readForm(
  c: Context,
  shape: Record<string, z.ZodType>,
): Promise<{ fields: Fields; files: Record<string, Buffer[]> }> {
  const form = await c.req.parseBody({ all: true }).catch((error: Error) => {
    throw new ImageForgeError('INVALID_ARGUMENT', `Expected multipart/form-data: ${error.message}.`);
  });
  const fields: Fields = {};
  const files: Record<string, Buffer[]> = {};
  for (const [name, values] of Object.entries(form)) {
    for (const value of [values].flat()) {
      if (value instanceof File)
        files[name] = [...(files[name] ?? []), Buffer.from(await value.arrayBuffer())];
      else if (typeof value === 'string') {
        const read = readValue(value, shape[name]);
        const before = fields[name];
        fields[name] = Array.isArray(read) && Array.isArray(before) ? [...before, ...read] : read;
      }
    }
  }
  return { fields, files };
}

/** Reads {"images": [{"image_url": "data:…"}], "mask": {"image_url": "data:…"}}. Fetches nothing from the network. */
export function readJsonPictures(body: Fields): { fields: Fields; files: Record<string, Buffer[]> } {
  const { images, mask, ...fields } = body;
  const listed: unknown[] = Array.isArray(images) ? images : [];
  const files: Record<string, Buffer[]> = { image: listed.map((picture) => readDataUrl(picture, 'images')) };
  if (mask !== undefined && mask !== null) files.mask = [readDataUrl(mask, 'mask')];
  return { fields, files };
}

function readDataUrl(picture: unknown, field: string): Buffer {
  const url = (picture as { image_url?: unknown } | null)?.image_url;
  if (typeof url !== 'string' || !url.startsWith('data:'))
    refuseField(field, `${field}: expected an image_url that is a data URL`);
  return readBase64(url, field);
}

/** Text that cannot be converted stays text, so that the schema refuses the field by name. */
function readValue(text: string, schema: z.ZodType | undefined): unknown {
  const kind = schema && innerType(schema);
  if (kind instanceof z.ZodBoolean) return text === 'true' || (text === 'false' ? false : text);
  if (kind instanceof z.ZodNumber) return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
  if (kind instanceof z.ZodArray) return readList(text);
  return text;
}

/** A list in JSON, or one entry of it as a text. */
function readList(text: string): unknown {
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list)) return list;
    return typeof list === 'object' && list !== null ? [list] : [text];
  } catch {
    return [text];
  }
}

/** OpenAI's masks are transparent where ours are white. Without a mask, a single image's own transparency is the mask. */
export async function readMask(
  given: Buffer | undefined,
  source: Buffer,
  single: boolean,
): Promise<string | undefined> {
  if (!given && !single) return undefined;
  try {
    const mask = await openPicture(given ?? source);
    const { hasAlpha } = await mask.metadata();
    const opaque = !hasAlpha || (await mask.stats()).isOpaque;
    if (opaque) {
      if (given) refuseField('mask', 'mask: expected transparent pixels where the image is to be repainted');
      return undefined;
    }
    return (await mask.autoOrient().extractChannel('alpha').negate().png().toBuffer()).toString('base64');
  } catch (error) {
    if (error instanceof ImageForgeError) throw error;
    const field = given ? 'mask' : 'image';
    refuseField(
      field,
      `${field}: not a picture that can be read: ${(error as Error).message.split('\n')[0]}`,
    );
  }
}
