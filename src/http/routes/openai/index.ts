// OpenAI's images API, as its official clients use it. A model that only OpenAI has means the default model.
import type { Context } from 'hono';
import { z } from 'zod';
import type { ImageResult } from '../../../service/answers/results.js';
import { parseFields } from '../../../service/request/fields.js';
import type { ImageOperation, ImageRequest } from '../../../service/request/parse.js';
import { ImageForgeError } from '../../../shared/errors.js';
import { readJson } from '../../body.js';
import type { Doors } from '../../context.js';
import { refuseField } from '../../errors.js';
import type { Routes } from '../../routes.js';
import { type EncodingOptions, encodeImage, readEncoding } from './encoding.js';
import { type Fields, readForm, readJsonPictures, readMask } from './form.js';
import { PARTIAL_IMAGES, streamImages } from './stream.js';

const FOREIGN_MODEL = /^(dall-e|gpt-image|chatgpt-image)/;
const common = {
  prompt: z.string(),
  model: z.string().nullish().describe('dall-e-… and gpt-image-… mean the default model'),
  n: z.int().min(1).max(16).nullish(),
  size: z.string().nullish().describe('"512x512", or "auto" for the model’s'),
  response_format: z.enum(['url', 'b64_json']).nullish().describe('Default: url, for gpt-image-… b64_json'),
  output_format: z.enum(['png', 'jpeg', 'webp']).nullish().describe('Format of b64_json; default png'),
  output_compression: z.int().min(0).max(100).nullish().describe('Quality of jpeg and webp; default 100'),
  quality: z.string().nullish(),
  user: z.string().nullish(),
  stream: z.boolean().nullish().describe('Answer with server-sent events'),
  partial_images: PARTIAL_IMAGES.nullish().describe(
    'Partial pictures to send when stream is true; default 0',
  ),
};
const generation = z.looseObject(common).describe('Also takes the fields of /generate (seed, steps …)');
const file = z.string().meta({ format: 'binary' });
const edit = z
  .looseObject({
    image: file.describe('Several (image[]) are reference pictures, for FLUX.1 Kontext and FLUX.2'),
    mask: file.optional().describe('Transparent where the image is repainted'),
    ...common,
  })
  .describe('Also takes the fields of /edit (strength, seed …)');
const images = z
  .object({
    created: z.int(),
    data: z.array(
      z.object({
        b64_json: z.string().optional(),
        url: z.string().optional(),
        revised_prompt: z.string().optional(),
      }),
    ),
    output_format: z.string(),
    size: z.string(),
    notes: z.array(z.string()).optional().describe('What of the request had no effect, and why'),
  })
  .meta({ id: 'OpenAiImages' });
const model = z
  .object({ id: z.string(), object: z.literal('model'), created: z.int(), owned_by: z.string() })
  .meta({ id: 'OpenAiModel' });

export function addOpenAiRoutes(routes: Routes, { service, jobs }: Doors): void {
  const run = async (c: Context, operation: ImageOperation, fields: Fields, pictures: Fields) => {
    const options = parseFields(z.object(common).omit({ prompt: true }), fields);
    const { stream } = options;
    const partials = stream ? (options.partial_images ?? 0) : 0;
    const { shape } = service.schemas[operation];
    const wanted = Object.entries(toRequestFields(fields)).filter(([name]) => Object.hasOwn(shape, name));
    const asked = { ...Object.fromEntries(wanted), ...pictures, ...(partials > 0 && { preview_every: 1 }) };
    const request = service.parse(operation, asked);
    const job = jobs.start(request, { signal: c.req.raw.signal });
    if (stream) return streamImages(c, job, { ...options, partials });
    return c.json(await formatImages(c, await job.wait(), request, options));
  };
  const models = async () => {
    const all = await service.listModels();
    return all
      .filter(({ available, allowed }) => available && allowed)
      .map(({ key }) => ({ id: key, object: 'model' as const, created: 0, owned_by: 'imageforge' }));
  };
  routes.add(
    {
      method: 'post',
      path: '/v1/images/generations',
      tag: 'OpenAI',
      summary: 'Create images',
      body: { schema: generation, name: 'OpenAiGeneration' },
      answer: { schema: images, description: 'The images' },
      errors: [400, 404, 413, 429, 503],
    },
    async (c) => run(c, 'generate', await readJson(c), {}),
  );
  routes.add(
    {
      method: 'post',
      path: '/v1/images/edits',
      tag: 'OpenAI',
      summary: 'Edit an image, or repaint the transparent part of its mask',
      body: { schema: edit, name: 'OpenAiEdit', type: 'multipart/form-data' },
      answer: { schema: images, description: 'The images' },
      errors: [400, 404, 413, 429, 503],
    },
    async (c) => {
      const sent = /^application\/json\b/i.test(c.req.header('content-type') ?? '');
      const { fields, files } = sent
        ? readJsonPictures(await readJson(c))
        : await readForm(c, { ...service.schemas.inpaint.shape, ...common });
      const [source, ...others] = [...(files.image ?? []), ...(files['image[]'] ?? [])];
      if (!source) refuseField('image', 'image: expected a file, found nothing');
      const mask = await readMask(files.mask?.[0], source, others.length === 0);
      const encode = (pictures: Buffer[]) => pictures.map((picture) => picture.toString('base64'));
      // Several images without a mask are all references: none of them is the one to start from.
      if (others.length > 0 && !mask)
        return run(c, 'generate', fields, { reference_images: encode([source, ...others]) });
      const pictures = { init_image: source.toString('base64'), ...(mask && { mask_image: mask }) };
      const looked = others.length > 0 ? { reference_images: encode(others) } : {};
      return run(c, mask ? 'inpaint' : 'edit', fields, { ...pictures, ...looked });
    },
  );
  routes.add(
    {
      method: 'get',
      path: '/v1/models',
      tag: 'OpenAI',
      summary: 'Models that can be used now',
      answer: {
        schema: z.object({ object: z.literal('list'), data: z.array(model) }),
        description: 'Models whose files are on this disk',
      },
    },
    async (c) => c.json({ object: 'list', data: await models() }),
  );
  routes.add(
    {
      method: 'get',
      path: '/v1/models/:id',
      tag: 'OpenAI',
      summary: 'One model',
      answer: { schema: model, description: 'The model' },
      errors: [404],
    },
    async (c) => {
      const found = (await models()).find(({ id }) => id === c.req.param('id'));
      if (!found) throw new ImageForgeError('MODEL_NOT_FOUND', `There is no model '${c.req.param('id')}'.`);
      return c.json(found);
    },
  );
}

function toRequestFields({ n, size, model: name, response_format: _, ...fields }: Fields): Fields {
  const sides = /^(\d+)x(\d+)$/.exec(String(size ?? 'auto'));
  if (!sides && size !== undefined && size !== null && size !== 'auto')
    refuseField('size', `size: expected WIDTHxHEIGHT or auto, found ${JSON.stringify(size)}`);
  return {
    ...fields,
    ...(sides && { width: Number(sides[1]), height: Number(sides[2]) }),
    model: typeof name === 'string' && FOREIGN_MODEL.test(name) ? null : name,
    batch: n,
  };
}

async function formatImages(
  c: Context,
  { images: made, prompt, width, height, notes }: ImageResult,
  request: ImageRequest,
  options: EncodingOptions & { model?: unknown; response_format?: unknown },
): Promise<z.infer<typeof images>> {
  const inline = options.response_format ?? (/^gpt-image/.test(String(options.model)) ? 'b64_json' : 'url');
  const { format, quality } = readEncoding(options);
  const revised = prompt === request.prompt ? {} : { revised_prompt: prompt };
  const data = made.map(async ({ png, path: file }) => {
    if (inline === 'url')
      return { url: new URL(`/images/${encodeURIComponent(nameOf(file))}`, c.req.url).href, ...revised };
    return { b64_json: await encodeImage(png, { format, quality }), ...revised };
  });
  return {
    created: Math.floor(Date.now() / 1000),
    data: await Promise.all(data),
    output_format: format,
    size: `${width}x${height}`,
    ...(notes.length > 0 && { notes }),
  };
}

function nameOf(file: string | null): string {
  return file?.split(/[\\/]/).at(-1) ?? '';
}
