// Files that aren't what the user takes them for: each is told what it is and what would help.
import { expect, test } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { inspectFile } from '../../../src/families/inspect.js';
import { findEntry } from '../../../src/registry/catalog.js';
import { ImageForgeError } from '../../../src/shared/errors.js';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import { goldenCase } from '../../golden.js';
import { type Shapes, writeShapes } from '../weights/make-files.js';

async function readShapes(path: string): Promise<Shapes> {
  const { tensors } = await readWeightFile(path);
  return Object.fromEntries([...tensors.values()].map(({ name, shape }) => [name, shape]));
}

const e2e = goldenCase('e2e-sd1');
const sd1 = e2e.path('model.safetensors');
const { present, reason } = e2e;

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

test.skipIf(!present)(`the SDXL refiner and pruned UNets ${reason}`, async () => {
  const xl = await readShapes(goldenCase('unet-sdxl').path('model.safetensors'));
  const prefix = 'model.diffusion_model.';
  const unet = await readShapes(goldenCase('unet-sd2').path('model.safetensors'));
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

test.skipIf(!present)(`parts of another family or of the wrong kind ${reason}`, async () => {
  const vae = goldenCase('vae-flux1').path('ae.safetensors');
  await expect(planModel({ model: sd1, vae })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringMatching(
      /ae\.safetensors: decoder\.conv_in\.weight takes 16 channels,.*another family/,
    ),
  });
  const clip = goldenCase('clip-text-standalone-l').path('clip_l.safetensors');
  await expect(planModel({ model: sd1, clip_l: clip })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringContaining('width 64, but the UNet takes 32'),
  });
  await expect(planModel({ model: sd1, vae: clip })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringContaining('was named for vae'),
  });
});

const schnell = goldenCase('flux1-schnell').path('model.safetensors');
const klein = goldenCase('flux2-klein').path('model.safetensors');
const fluxParts = {
  vae: goldenCase('vae-flux1').path('ae.safetensors'),
  clip_l: goldenCase('clip-text-standalone-l').path('clip_l.safetensors'),
};

test.skipIf(!present)(
  `FLUX without its parts: each is named with the command that fetches it ${reason}`,
  async () => {
    const { vae, clip_l } = fluxParts;
    const dev = goldenCase('flux1-dev').path('model.safetensors');
    const dev2 = goldenCase('flux2-dev').path('model.safetensors');
    const vae2 = goldenCase('vae-flux2').path('flux2-vae.safetensors');
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
  },
);

test.skipIf(!present)(
  `a FLUX file in a checkpoint's place, and a checkpoint in a part's ${reason}`,
  async () => {
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
  },
);

test.skipIf(!present)(`a full checkpoint beside the parts of FLUX ${reason}`, async () => {
  await expect(planModel({ model: sd1, t5xxl: schnell })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringMatching(
      /was named for t5xxl, but .* is a Stable Diffusion 1\.x model, whose parts/,
    ),
    hint: expect.stringContaining('--t5xxl'),
  });
});

test.skipIf(!present)(`text encoders of the wrong size ${reason}`, async () => {
  const t5xxl = goldenCase('t5-encoder').path('t5xxl.gguf');
  await expect(planModel({ model: schnell, ...fluxParts, t5xxl })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringMatching(
      /this T5 gives states of width \d+, but .* takes 256: it is of the wrong size/,
    ),
    hint: expect.stringMatching(/--t5xxl FILE.*`imageforge models pull flux-q4 --part t5xxl`/),
  });
  const qwen = await readShapes(goldenCase('flux2-text-qwen3').path('qwen3.safetensors'));
  const wide = Object.entries(qwen).map(([name, shape]) => [name, shape.map((n) => (n === 64 ? 32 : n))]);
  const llm = writeShapes(Object.fromEntries(wide));
  const vae = goldenCase('vae-flux2').path('flux2-vae.safetensors');
  await expect(planModel({ model: klein, vae, llm })).rejects.toMatchObject({
    code: 'WEIGHTS_INVALID',
    hint: expect.stringMatching(/--llm FILE.*`imageforge models pull flux2-klein --part llm`/),
  });
});

test.skipIf(!present)(`klein 9B, which needs a larger language model than 4B, ${reason}`, async () => {
  const shapes = await readShapes(klein);
  const model = writeShapes({ ...shapes, 'txt_in.weight': [shapes['txt_in.weight']![0]!, 3 * 4096] });
  const vae = goldenCase('vae-flux2').path('flux2-vae.safetensors');
  await expect(planModel({ model, vae })).rejects.toMatchObject({
    code: 'MODEL_INCOMPLETE',
    details: { part: 'llm' },
    hint: expect.stringMatching(
      /Qwen3-4B or -8B.*`imageforge models pull flux2-klein-9b --part llm` fetches it/,
    ),
  });
  expect(findEntry('flux2-klein-9b')?.files.llm?.path).toMatch(/Qwen3-8B/);
});

test.skipIf(!present)(`prediction and heads can be forced ${reason}`, async () => {
  const plan = await planModel({ model: sd1 }, { prediction: 'v', textHeads: 1 });
  expect(plan.prediction).toBe('v');
  expect(plan.textEncoders[0]?.config).toMatchObject({ heads: 1 });
  await expect(planModel({ model: sd1 }, { prediction: 'flow' })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
  });
});

test.skipIf(!present)(`a tiny autoencoder in the large one's place ${reason}`, async () => {
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

test.skipIf(!present)(
  `damaged tables give a plan or a typed error, never anything else ${reason}`,
  async () => {
    const bases = await Promise.all(
      [
        sd1,
        goldenCase('unet-sdxl').path('model.safetensors'),
        goldenCase('clip-text-sdxl').path('model.safetensors'),
        goldenCase('flux1-schnell').path('model.safetensors'),
        goldenCase('flux2-klein').path('model.safetensors'),
        goldenCase('vae-flux2').path('flux2-vae.safetensors'),
        goldenCase('flux2-text-qwen3').path('qwen3.safetensors'),
        goldenCase('t5-encoder').path('t5xxl.safetensors'),
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
  },
);
