// Translates the WebUI's request fields into those of our schema.
import { refuseField } from '../../errors.js';

export type Fields = Record<string, unknown>;

/** Entries in the WebUI's lists that leave the choice to the program. */
const AUTOMATIC = /^(automatic|none|use same.*)?$/i;

export function toRequestFields(body: Fields, checkpoint: string | undefined): Fields {
  const settings = (body.override_settings ?? {}) as Fields;
  return {
    prompt: body.prompt ?? '', // as the WebUI takes it
    negative_prompt: body.negative_prompt,
    styles: body.styles,
    seed: body.seed,
    steps: body.steps,
    guidance: body.cfg_scale,
    width: body.width,
    height: body.height,
    sampler: choose(body.sampler_name ?? body.sampler_index),
    schedule: choose(body.scheduler),
    model: settings.sd_model_checkpoint ?? checkpoint,
    clip_skip: settings.CLIP_stop_at_last_layers,
    batch: multiply(body.batch_size, body.n_iter),
  };
}

/** Our hires upscalers by the WebUI's names. */
const UPSCALERS: Record<string, string> = { latent: 'latent', lanczos: 'pixel' };

export function readHires(body: Fields): Fields {
  if (body.enable_hr !== true) return {};
  const name = body.hr_upscaler ?? 'Latent';
  const upscaler = UPSCALERS[String(name).toLowerCase()];
  if (!upscaler) refuseField('hr_upscaler', `hr_upscaler: expected Latent or Lanczos, found ${name}`);
  return {
    hires_scale: readResize(body) ?? body.hr_scale ?? 2,
    hires_strength: body.denoising_strength ?? 0.75,
    hires_steps: body.hr_second_pass_steps === 0 ? undefined : body.hr_second_pass_steps,
    hires_upscaler: upscaler,
  };
}

/** The scale that gives the sides hr_resize_x and _y. A side of 0 follows the other; nothing is cropped. */
function readResize(body: Fields): number | undefined {
  const scales = (['x', 'y'] as const).flatMap((axis) => {
    const [resize, side] = [`hr_resize_${axis}`, axis === 'x' ? 'width' : 'height'];
    const wanted = body[resize] ?? 0;
    if (typeof wanted !== 'number') refuseField(resize, `${resize}: expected a number, found ${wanted}`);
    if (wanted === 0) return [];
    const first = body[side];
    if (typeof first !== 'number' || first <= 0)
      refuseField(side, `${side}: expected a number beside ${resize}, found ${first}`);
    return [{ scale: wanted / first, pixel: 1 / first }];
  });
  const [x, y] = scales;
  if (x && y && Math.abs(x.scale - y.scale) > Math.max(x.pixel, y.pixel))
    refuseField(
      'hr_resize_y',
      `hr_resize_x and hr_resize_y: expected the shape of ${body.width}x${body.height}, ` +
        `found ${body.hr_resize_x}x${body.hr_resize_y}`,
    );
  return x?.scale ?? y?.scale;
}

function choose(name: unknown): unknown {
  return typeof name === 'string' && AUTOMATIC.test(name) ? undefined : name;
}

function multiply(size: unknown, rounds: unknown): unknown {
  const [a, b] = [size ?? 1, rounds ?? 1];
  return typeof a === 'number' && typeof b === 'number'
    ? a * b
    : [a, b].find((value) => typeof value !== 'number');
}

/** WebUI clients send a model back as "model.safetensors [6ce0161689]". */
export function stripHash(title: string): string {
  return title.replace(/\s*\[[0-9a-f]+\]$/i, '');
}

export function readBase64(value: unknown, field: string): Buffer {
  if (typeof value !== 'string' || value === '') refuseField(field, `${field}: expected a picture in base64`);
  return Buffer.from(value.replace(/^data:[^,]*,/, ''), 'base64');
}
