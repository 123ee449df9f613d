// Files that aren't what the user thinks they are: the refusal says what each one is and what would help.
import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { inspectFile } from '../../../src/families/inspect.js';
import { findEntry } from '../../../src/registry/catalog.js';
import { ImageForgeError } from '../../../src/shared/errors.js';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import { goldenCase } from '../../golden.js';
import { readFlux } from '../../golden-networks.js';
import { filesOfKlein, partsOfFlux1, writeClip, writeTinyT5 } from '../../golden-plans.js';
import { type Shapes, writeShapes } from '../weights/make-files.js';

async function readShapes(path: string): Promise<Shapes> {
  const { tensors } = await readWeightFile(path);
  return Object.fromEntries([...tensors.values()].map(({ name, shape }) => [name, shape]));
}

const sd1 = goldenCase('e2e-sd1').weights();

test.each([
  [
    'Stable Diffusion 3',
    { 'model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight': [8, 8] },
    /Stable Diffusion 3/,
  ],
  ['a ControlNet', { 'control_model.zero_convs.0.0.weight': [8, 8, 1, 1] }, /is a ControlNet, not a model/],
  ['a ControlNet of FLUX', { 'controlnet_x_embedder.weight': [8, 8] }, /a ControlNet for FLUX/],
  ['a LoRA', { 'lora_unet_a.lora_up.weight': [8, 1], 'lora_unet_a.lora_down.weight': [1, 8] }, /is a LoRA/],
  [
    'Chroma',
    { 'double_blocks.0.img_attn.qkv.weight': [24, 8], 'distilled_guidance_layer.in_proj.weight': [8, 8] },
    /Chroma/,
  ],
])('%s', async (_, shapes, message) => {
  await expect(planModel({ model: writeShapes(shapes as unknown as Shapes) })).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringMatching(message),
  });
});

test('something else entirely', async () => {
  const path = writeShapes({ 'bert.embeddings.word_embeddings.weight': [8, 8] });
  await expect(planModel({ model: path })).rejects.toMatchObject({
    code: 'MODEL_INCOMPLETE',
    message: expect.stringContaining('no denoiser'),
  });
  expect(await inspectFile(path)).toMatchObject({ networks: [], tensors: 1, parameters: 64 });
});

test('the SDXL refiner and pruned UNets', async () => {
  const xl = await readShapes(goldenCase('unet-sdxl').weights());
  const prefix = 'model.diffusion_model.';
  const unet = await readShapes(goldenCase('unet-sd2').weights());
  const refiner = { ...unet, [`${prefix}label_emb.0.0.weight`]: xl[`${prefix}label_emb.0.0.weight`]! };
  await expect(planModel({ model: writeShapes(refiner) })).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringContaining('refiner'),
  });
  const pruned = Object.fromEntries(
    Object.entries(xl).filter(([name]) => !name.includes('output_blocks.1.1.')),
  );
  await expect(planModel({ model: writeShapes(pruned) })).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringContaining('pruned'),
  });
});

test('parts of another family or of the wrong kind', async () => {
  const flux = goldenCase('vae-flux1');
  const vae = flux.weights();
  const channels = flux.config<{ latent_channels: number }>().latent_channels;
  await expect(planModel({ model: sd1, vae })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringMatching(
      new RegExp(`${basename(vae)}: decoder\\.conv_in\\.weight takes ${channels} channels,.*another family`),
    ),
  });
  const width = goldenCase('e2e-sd1').config<{ context: number }>('unet').context;
  const clip = writeClip(2 * width);
  await expect(planModel({ model: sd1, clip_l: clip })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringContaining(`width ${2 * width}, but the UNet takes ${width}`),
  });
  await expect(planModel({ model: sd1, vae: clip })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringContaining('was named for vae'),
  });
});

const schnell = goldenCase('flux1-schnell').weights();
const { model: klein, vae: vae2, llm: qwen } = filesOfKlein();
const { vae, clip_l } = await partsOfFlux1(goldenCase('flux1-schnell'));
const fluxParts = { vae, clip_l };

test('FLUX without its parts: each is named with the command that fetches it', async () => {
  const dev = goldenCase('flux1-dev').weights();
  const dev2 = goldenCase('flux2-dev').weights();
  for (const [files, part, key] of [
    [{ model: schnell }, 'vae', 'flux-q4'],
    [{ model: schnell, vae }, 'clip_l', 'flux-q4'],
    [{ model: schnell, vae, clip_l }, 't5xxl', 'flux-q4'],
    [{ model: dev }, 'vae', 'flux1-dev'],
    [{ model: klein }, 'vae', 'flux2-klein'],
    [{ model: klein, vae: vae2 }, 'llm', 'flux2-klein'],
    [{ model: dev2, vae: vae2 }, 'llm', 'flux2-dev'],
  ] as const) {
    await expect(planModel(files)).rejects.toMatchObject({
      code: 'MODEL_INCOMPLETE',
      details: { part },
      hint: expect.stringContaining(`\`imageforge models pull ${key} --part ${part}\` fetches it`),
    });
    expect(findEntry(key)?.files[part]).toBeDefined();
  }
});

test('a FLUX file in place of a checkpoint, and a checkpoint in place of a part', async () => {
  await expect(planModel({ model: sd1, vae: schnell })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringMatching(/was named for vae, but has a FLUX transformer, no autoencoder/),
  });
  await expect(planModel({ model: schnell, ...fluxParts, clip_l: fluxParts.vae })).rejects.toMatchObject({
    message: expect.stringMatching(/named for clip_l, but has an autoencoder, no CLIP-L text encoder/),
    hint: expect.stringMatching(/--clip-l FILE.*models pull flux-q4 --part clip_l/),
  });
  await expect(planModel({ model: schnell, ...fluxParts, vae: sd1 })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringContaining('belongs to another family'),
  });
  await expect(planModel({ model: fluxParts.vae })).rejects.toMatchObject({
    code: 'MODEL_INCOMPLETE',
    message: expect.stringContaining('no denoiser'),
  });
});

test('a full checkpoint together with parts for FLUX', async () => {
  await expect(planModel({ model: sd1, t5xxl: schnell })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringMatching(
      /was named for t5xxl, but .* is a Stable Diffusion 1\.x model, whose parts/,
    ),
    hint: expect.stringContaining('--t5xxl'),
  });
});

test('text encoders of the wrong size', async () => {
  const { contextWidth } = (await readFlux(goldenCase('flux1-schnell'))).config;
  const t5xxl = writeTinyT5(contextWidth / 2);
  await expect(planModel({ model: schnell, ...fluxParts, t5xxl })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringMatching(
      new RegExp(`this T5 gives states of width \\d+, but .* takes ${contextWidth}: it is of the wrong size`),
    ),
    hint: expect.stringMatching(/--t5xxl FILE.*`imageforge models pull flux-q4 --part t5xxl`/),
  });
  const shapes = await readShapes(qwen);
  const { width } = goldenCase('e2e-flux2-klein').config<{ width: number }>('text');
  const narrow = Object.entries(shapes).map(([name, shape]) => [
    name,
    shape.map((n) => (n === width ? n / 2 : n)),
  ]);
  const llm = writeShapes(Object.fromEntries(narrow));
  await expect(planModel({ model: klein, vae: vae2, llm })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    hint: expect.stringMatching(/--llm FILE.*`imageforge models pull flux2-klein --part llm`/),
  });
});

test('klein 9B, which needs a larger language model than 4B', async () => {
  const shapes = await readShapes(klein);
  const model = writeShapes({ ...shapes, 'txt_in.weight': [shapes['txt_in.weight']![0]!, 3 * 4096] });
  await expect(planModel({ model, vae: vae2 })).rejects.toMatchObject({
    code: 'MODEL_INCOMPLETE',
    details: { part: 'llm' },
    hint: expect.stringMatching(
      /Qwen3-4B or -8B.*`imageforge models pull flux2-klein-9b --part llm` fetches it/,
    ),
  });
  expect(findEntry('flux2-klein-9b')?.files.llm?.path).toMatch(/Qwen3-8B/);
});

test('prediction and heads can be forced', async () => {
  const plan = await planModel({ model: sd1 }, { prediction: 'v', textHeads: 1 });
  expect(plan.prediction).toBe('v');
  expect(plan.textEncoders[0]?.config).toMatchObject({ heads: 1 });
  await expect(planModel({ model: sd1 }, { prediction: 'flow' })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
  });
});

test('a tiny autoencoder in place of the large one', async () => {
  const shapes: Shapes = {
    'decoder.1.weight': [64, 4, 3, 3],
    'decoder.3.conv.0.weight': [64, 64, 3, 3],
    'encoder.0.weight': [64, 3, 3, 3],
  };
  const plan = await planModel({ model: sd1, vae: writeShapes(shapes) });
  expect(plan.autoencoder).toMatchObject({
    kind: 'tiny_autoencoder',
    config: { width: 64, latentChannels: 4, pooled: false },
  });
  const renamed = {
    'decoder.layers.0.weight': [64, 4, 3, 3],
    'decoder.layers.2.conv.0.weight': [64, 64, 3, 3],
  };
  const diffusers = await planModel({ model: sd1, vae: writeShapes(renamed) });
  expect(diffusers.autoencoder.weights.tensors.map(({ name }) => name)).toEqual(
    Object.keys(shapes).slice(0, 2),
  );
});

test('damaged tables give a plan or a typed error, never anything else', async () => {
  const bases = await Promise.all(
    [
      sd1,
      goldenCase('unet-sdxl').weights(),
      goldenCase('clip-text-sdxl').weights(),
      schnell,
      klein,
      vae2,
      qwen,
      goldenCase('t5-encoder').weights('safetensors'),
    ].map(readShapes),
  );
  const [vae, llm, t5xxl] = [bases[5]!, bases[6]!, bases[7]!].map((shapes) => writeShapes(shapes)) as [
    string,
    string,
    string,
  ];
  const parts = [{}, {}, {}, { vae, t5xxl }, { vae, llm }];
  let state = 7;
  const below = (limit: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const oddShapes = [[], [0], [1], [7], [3, 5], [1, 1, 1, 1], [2, 3, 5, 7]];
  let refused = 0;
  for (let i = 0; i < 160; i++) {
    const names = Object.entries(bases[i % 5]!);
    const key = /weight/;
    for (let edits = 1 + below(6); edits > 0; edits--) {
      const at = below(names.length);
      const [name] = names[at]!;
      if (!key.test(name)) continue;
      const choice = below(3);
      if (choice === 0) names.splice(at, 1);
      else if (choice === 1) names[at] = [name, oddShapes[below(oddShapes.length)]!];
      else names[at] = [name.replace(/\d+/, String(below(40))), names[at]![1]];
    }
    const model = writeShapes(Object.fromEntries(names));
    try {
      await planModel({ model, ...parts[i % 5] });
    } catch (error) {
      refused++;
      if (!(error instanceof ImageForgeError)) throw new Error(`table ${i}`, { cause: error });
      expect(error.code).toMatch(/^(WEIGHTS_INVALID|UNSUPPORTED|MODEL_INCOMPLETE)$/);
    }
  }
  expect(refused).toBeGreaterThan(20);
});
