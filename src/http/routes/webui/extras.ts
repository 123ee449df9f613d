// /sdapi/v1/extra-single-image, and the list of upscalers for it.
import { z } from 'zod';
import { listUpscalers } from '../../../registry/upscalers.js';
import { measurePicture, resizeEncoded } from '../../../service/pictures/codec.js';
import type { Size } from '../../../service/pictures/size.js';
import { readJson } from '../../body.js';
import type { Doors } from '../../context.js';
import { refuseField } from '../../errors.js';
import type { Routes } from '../../routes.js';
import { type Fields, readBase64 } from './fields.js';

/** The WebUI's upscalers that use no network. */
const PLAIN = { None: undefined, Lanczos: 'lanczos3', Nearest: 'nearest' } as const;

const extras = z.looseObject({
  image: z.string().describe('base64 or a data URL'),
  upscaler_1: z.string().nullish().describe('A name from /sdapi/v1/upscalers; default None'),
  resize_mode: z
    .int()
    .nullish()
    .describe('0: by upscaling_resize (default), 1: to upscaling_resize_w and _h'),
  upscaling_resize: z.number().nullish().describe('Default 2'),
  upscaling_resize_w: z.int().nullish(),
  upscaling_resize_h: z.int().nullish(),
  upscaling_crop: z.boolean().nullish().describe('Crop to the requested size; default true'),
});

export function addWebUiExtrasRoutes(routes: Routes, { service, jobs }: Doors): void {
  routes.add(
    {
      method: 'get',
      path: '/sdapi/v1/upscalers',
      tag: 'WebUI',
      summary: 'Upscalers: files of upscalers/ in the model folder',
      answer: { schema: z.array(z.record(z.string(), z.unknown())), description: 'As the WebUI answers' },
    },
    (c) => {
      const describe = (name: string, file: string | null) => ({
        name,
        model_name: null,
        model_path: file,
        model_url: null,
        scale: 4,
      });
      const plain = Object.keys(PLAIN).map((name) => describe(name, null));
      return c.json([
        ...plain,
        ...listUpscalers(service.config).map(({ name, file }) => describe(name, file)),
      ]);
    },
  );
  routes.add(
    {
      method: 'post',
      path: '/sdapi/v1/extra-single-image',
      tag: 'WebUI',
      summary: 'Make an image larger; other extras are ignored',
      body: { schema: extras, name: 'WebUiExtras' },
      answer: {
        schema: z.object({ html_info: z.string(), image: z.string().describe('base64 PNG') }),
        description: 'The larger image',
      },
      errors: [400, 404, 413, 422, 429, 503, 507],
    },
    async (c) => {
      const body = await readJson(c);
      const image = readBase64(body.image, 'image');
      const target = readTarget(body, await measurePicture(image, 'image'));
      const name = body.upscaler_1 ?? 'None';
      if (typeof name !== 'string') refuseField('upscaler_1', 'upscaler_1: expected text');
      const enlarge = async () => {
        const asked = service.parse('upscale', {
          image: image.toString('base64'),
          model: name,
          scale: target.scale,
        });
        const job = jobs.start(asked, { signal: c.req.raw.signal, save: { enabled: false } });
        return (await job.wait()).images[0].png;
      };
      const larger = Object.hasOwn(PLAIN, name) ? image : await enlarge();
      const kernel = PLAIN[name as keyof typeof PLAIN];
      // Without an upscaler the WebUI leaves the picture as it is.
      const png = name === 'None' ? image : await resizeEncoded(larger, target, kernel);
      return c.json({ html_info: '', image: png.toString('base64') });
    },
  );
}

/** How much larger the picture becomes, and the size that it is then cropped to. */
function readTarget(body: Fields, { width, height }: Size): Size & { scale: number } {
  if (body.resize_mode !== 1) {
    const scale = readNumber(body, 'upscaling_resize', 2);
    return { scale, width: Math.round(width * scale), height: Math.round(height * scale) };
  }
  const wanted = {
    width: readNumber(body, 'upscaling_resize_w', 512),
    height: readNumber(body, 'upscaling_resize_h', 512),
  };
  const scale = Math.max(wanted.width / width, wanted.height / height);
  if (body.upscaling_crop !== false) return { scale, ...wanted };
  return { scale, width: Math.round(width * scale), height: Math.round(height * scale) };
}

function readNumber(body: Fields, field: string, fallback: number): number {
  const value = body[field] ?? fallback;
  if (typeof value !== 'number' || !(value > 0 && value <= 8192))
    refuseField(field, `${field}: expected a positive number, found ${JSON.stringify(value)}`);
  return value;
}
