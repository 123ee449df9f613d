// The WebUI's API with requests as its clients send them.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { openServer, type TestServer } from './open-server.js';

let server: TestServer;
beforeAll(async () => {
  server = await openServer({ behaviour: 'step=20' });
});

const get = async (name: string) => (await server.get(`/sdapi/v1/${name}`)).json();
const post = (name: string, body: unknown) => server.post(`/sdapi/v1/${name}`, body);

/** Every field that the WebUI's own page sends. */
const full = {
  prompt: 'a red fox',
  negative_prompt: '',
  styles: [],
  seed: 42,
  subseed: -1,
  subseed_strength: 0,
  seed_resize_from_h: -1,
  seed_resize_from_w: -1,
  sampler_name: 'Automatic',
  scheduler: 'Automatic',
  batch_size: 1,
  n_iter: 1,
  steps: 4,
  cfg_scale: 5.5,
  width: 64,
  height: 64,
  restore_faces: false,
  tiling: false,
  do_not_save_samples: false,
  eta: null,
  denoising_strength: 0.6,
  override_settings: {},
  override_settings_restore_afterwards: true,
  enable_hr: false,
  script_args: [],
  send_images: true,
  save_images: false,
  alwayson_scripts: {},
};

describe('txt2img', () => {
  it('enlarges and refines the image in a second pass with enable_hr', async () => {
    const hires = { enable_hr: true, hr_scale: 1.5, hr_upscaler: 'Latent', hr_second_pass_steps: 2 };
    const response = await post('txt2img', { ...full, ...hires });
    expect(response.status).toBe(200);
    const { images, info } = await response.json();
    expect(await sharp(Buffer.from(images[0], 'base64')).metadata()).toMatchObject({ width: 96, height: 96 });
    const facts = JSON.parse(info);
    expect(facts).toMatchObject({ width: 96, height: 96, denoising_strength: 0.6 });
    expect(facts.infotexts[0]).toMatch(
      /Size: 64x64, .*Denoising strength: 0\.6, Hires upscale: 1\.5, Hires steps: 2, Hires upscaler: Latent/,
    );
    const unknown = await post('txt2img', { ...full, ...hires, hr_upscaler: 'Magic' });
    expect(unknown.status).toBe(400);
    expect(await unknown.text()).toContain('hr_upscaler');
  });

  it.each([
    [{ hr_resize_x: 128, hr_resize_y: 0 }, [128, 192]],
    [{ hr_resize_x: 0, hr_resize_y: 144 }, [96, 144]],
    [{ hr_resize_x: 128, hr_resize_y: 192, hr_scale: 4 }, [128, 192]],
  ])('makes the second pass as large as %o', async (resize, [width, height]) => {
    const response = await post('txt2img', { ...full, height: 96, enable_hr: true, ...resize });
    expect(response.status).toBe(200);
    const { images } = await response.json();
    expect(await sharp(Buffer.from(images[0], 'base64')).metadata()).toMatchObject({ width, height });
  });

  it('does not crop a second pass to another shape', async () => {
    const resize = { enable_hr: true, hr_resize_x: 128, hr_resize_y: 128 };
    const response = await post('txt2img', { ...full, height: 96, ...resize });
    expect(response.status).toBe(400);
    expect((await response.json()).detail).toContain('expected the shape of 64x96, found 128x128');
  });

  it('answers with images, the request and infotexts', async () => {
    const response = await post('txt2img', { ...full, batch_size: 2 });
    expect(response.status).toBe(200);
    const { images, parameters, info } = await response.json();
    expect(images).toHaveLength(2);
    expect(await sharp(Buffer.from(images[0], 'base64')).metadata()).toMatchObject({
      format: 'png',
      width: 64,
    });
    expect(parameters).toMatchObject({ prompt: 'a red fox', cfg_scale: 5.5 });
    const facts = JSON.parse(info);
    expect(facts).toMatchObject({
      seed: 42,
      all_seeds: [42, 43],
      steps: 4,
      cfg_scale: 5.5,
      width: 64,
      height: 64,
    });
    expect(facts.infotexts[1]).toMatch(
      /^a red fox\nSteps: 4, Sampler: .+, CFG scale: 5\.5, Seed: 43, Size: 64x64/,
    );
    const folder = join(server.folder, 'outputs');
    const outputs = () => (existsSync(folder) ? readdirSync(folder).length : 0);
    const before = outputs();
    await post('txt2img', full);
    expect(outputs()).toBe(before);
    await post('txt2img', { ...full, save_images: true });
    expect(outputs()).toBe(before + 2);
  });

  it('knows the WebUI’s names of samplers and schedules', async () => {
    const { info } = await (
      await post('txt2img', { ...full, sampler_name: 'DPM++ 2M', scheduler: 'karras' })
    ).json();
    expect(JSON.parse(info)).toMatchObject({ sampler_name: 'DPM++ 2M' });
    expect(JSON.parse(info).infotexts[0]).toContain('Schedule type: Karras');
    const older = await (
      await post('txt2img', { prompt: 'x', steps: 2, width: 64, height: 64, sampler_index: 'Euler a' })
    ).json();
    expect(JSON.parse(older.info)).toMatchObject({ sampler_name: 'Euler a' });
  });

  it('refuses in the WebUI’s form', async () => {
    for (const body of [
      { ...full, sampler_name: 'Magic' },
      { ...full, width: 65 },
      { ...full, prompt: '<lora:none:much> x' },
    ]) {
      const response = await post('txt2img', body);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: 'INVALID_ARGUMENT', detail: expect.any(String) });
    }
  });
});

describe('img2img', () => {
  const solid = async (background: string) =>
    (
      await sharp({ create: { width: 64, height: 64, channels: 3, background } })
        .png()
        .toBuffer()
    ).toString('base64');

  it('changes a picture, or only the part under a mask', async () => {
    const body = {
      ...full,
      init_images: [`data:image/png;base64,${await solid('#204080')}`],
      denoising_strength: 0.5,
    };
    const { images, parameters, info } = await (await post('img2img', body)).json();
    expect(images).toHaveLength(1);
    expect(parameters).not.toHaveProperty('init_images');
    expect(JSON.parse(info)).toMatchObject({ denoising_strength: 0.5 });

    const mask = await solid('#ffffff');
    const inverted = await (await post('img2img', { ...body, mask, inpainting_mask_invert: 1 })).json();
    const pixels = await sharp(Buffer.from(inverted.images[0], 'base64')).raw().toBuffer();
    expect([...pixels.subarray(0, 3)]).toEqual([0x20, 0x40, 0x80]);
    expect((await post('img2img', { ...full, init_images: [] })).status).toBe(400);
  });
});

describe('progress and interrupt', () => {
  it('keeps moving forward, never back, in the second pass', async () => {
    const hires = { enable_hr: true, hr_scale: 1.5, hr_second_pass_steps: 8 };
    let ended = false;
    const running = post('txt2img', { ...full, steps: 8, seed: 77, ...hires }).finally(() => (ended = true));
    const seen: number[] = [];
    while (!ended) {
      seen.push((await get('progress')).progress);
      await sleep(10);
    }
    expect((await running).status).toBe(200);
    const rising = seen.filter((share) => share > 0.02);
    expect(rising.length).toBeGreaterThan(3);
    expect(rising).toEqual(rising.toSorted((a, b) => a - b));
    expect(rising.some((share) => share > 0.5)).toBe(true);
  });

  it('shows the picture as it grows, and interrupts it', async () => {
    expect(await get('progress')).toMatchObject({
      progress: 0,
      current_image: null,
      state: { job_count: 0 },
    });
    const answer = post('txt2img', { ...full, steps: 200, seed: 1 });
    let progress = await get('progress?skip_current_image=false');
    while (!progress.current_image) {
      await sleep(20);
      progress = await get('progress');
    }
    expect(progress.progress).toBeGreaterThan(0);
    expect(progress.progress).toBeLessThan(1);
    expect(progress.state).toMatchObject({ sampling_steps: 200, job_count: 1 });
    expect((await sharp(Buffer.from(progress.current_image, 'base64')).metadata()).format).toBe('jpeg');
    await post('interrupt', {});
    const { images, info } = await (await answer).json();
    expect([images, JSON.parse(info)]).toEqual([[], { interrupted: true }]);
    expect(await get('progress')).toMatchObject({ progress: 0 });
  });
});

describe('the parameters inside a PNG', () => {
  /** Parses them as the WebUI does: the last line is settings, quoted if they hold commas, and the prompts come before. */
  const readInfotext = (text: string) => {
    const lines = text.trim().split('\n');
    const settings: Record<string, string> = {};
    for (let rest = lines.pop()!; rest !== ''; ) {
      const colon = rest.indexOf(': ');
      const key = rest.slice(0, colon);
      rest = rest.slice(colon + 2);
      const quoted = /^"(?:[^"\\]|\\.)*"/.exec(rest)?.[0];
      const value = quoted ?? rest.split(',')[0]!;
      settings[key] = quoted === undefined ? value : JSON.parse(quoted);
      rest = rest.slice(value.length).replace(/^,\s*/, '');
    }
    const at = lines.findIndex((line) => line.startsWith('Negative prompt: '));
    const prompt = lines.slice(0, at < 0 ? lines.length : at).join('\n');
    const negative = at < 0 ? '' : lines.slice(at).join('\n').replace('Negative prompt: ', '');
    return { prompt, negative, settings };
  };

  it.each([
    ['plain', 'a red fox, (snow:1.2)', 'blurry, ugly'],
    ['not Latin-1', '狐狸 und ein Füchslein…', 'nichts'],
    ['with special characters', 'a "fox": one\nSteps: 99, Seed: 1', 'Size: 1x1,\nSampler: x'],
  ])('are read by another program: %s', async (_, prompt, negative_prompt) => {
    const { images } = await (
      await post('txt2img', { ...full, sampler_name: 'Euler a', prompt, negative_prompt })
    ).json();
    const { comments } = await sharp(Buffer.from(images[0], 'base64')).metadata();
    const text = comments?.find(({ keyword }) => keyword === 'parameters')?.text;
    const read = readInfotext(text ?? '');
    expect(read).toMatchObject({ prompt, negative: negative_prompt });
    expect(read.settings).toMatchObject({
      Steps: '4',
      Sampler: 'Euler a',
      'CFG scale': '5.5',
      Seed: '42',
      Size: '64x64',
      Version: expect.stringMatching(/^imageforge \d/),
    });
  });
});

describe('lists and settings', () => {
  it('lists samplers, schedulers, models and LoRAs', async () => {
    const names = (entries: { name: string }[]) => entries.map(({ name }) => name);
    expect(names(await get('samplers'))).toEqual(
      expect.arrayContaining(['Euler', 'Euler a', 'DPM++ 2M', 'DDIM']),
    );
    expect(names(await get('schedulers'))).toEqual(
      expect.arrayContaining(['automatic', 'karras', 'sgm_uniform']),
    );
    expect(Array.isArray(await get('sd-models'))).toBe(true);
    expect(await get('loras')).toEqual([]);
  });

  it('lists styles, applies them, and reports the prompt of each image', async () => {
    const prompts = await openServer();
    const folder = join(prompts.folder, 'models');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'styles.csv'), 'name,prompt,negative_prompt\nOil,"{prompt}, oil",photo');
    expect(await (await prompts.get('/sdapi/v1/prompt-styles')).json()).toEqual([
      { name: 'Oil', prompt: '{prompt}, oil', negative_prompt: 'photo' },
    ]);
    const body = { prompt: 'a {red|blue|green|grey} fox', styles: ['Oil'], seed: 1, batch_size: 4, steps: 1 };
    const size = { width: 64, height: 64 };
    const answer = await (await prompts.post('/sdapi/v1/txt2img', { ...body, ...size })).json();
    const info = JSON.parse(answer.info);
    expect(new Set(info.all_prompts).size).toBeGreaterThan(1);
    for (const [i, prompt] of info.all_prompts.entries()) {
      expect(prompt).toMatch(/^a (red|blue|green|grey) fox, oil$/);
      expect(info.infotexts[i].split('\n')[0]).toBe(prompt);
    }
    expect(info.all_negative_prompts).toEqual(Array(4).fill('photo'));
  });

  it('chooses the model through options', async () => {
    const { sd_model_checkpoint: before } = await get('options');
    expect(await (await post('options', { sd_model_checkpoint: 'nothing [0123456789]' })).json()).toBeNull();
    expect(await get('options')).toMatchObject({ sd_model_checkpoint: 'nothing' });
    expect((await post('txt2img', full)).status).toBe(404);
    const override = { ...full, override_settings: { sd_model_checkpoint: before } };
    expect((await post('txt2img', override)).status).toBe(200);
    await post('options', { sd_model_checkpoint: '' });
    expect((await post('txt2img', full)).status).toBe(200);
  });

  it('reads the parameters inside a PNG', async () => {
    const { images } = await (await post('txt2img', full)).json();
    const { info, items, parameters } = await (await post('png-info', { image: images[0] })).json();
    expect(info).toMatch(/^a red fox\nSteps: 4/);
    expect(items.parameters).toBe(info);
    expect(parameters).toMatchObject({ Prompt: 'a red fox', Seed: '42', 'CFG scale': '5.5' });
    expect((await post('png-info', { image: 'aGVsbG8=' })).status).toBe(400);
  });
});
