// What inspection finds in files: models, parts and LoRAs, whatever their size.
import { mkdtempSync, openSync, truncateSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { inspectFile } from '../../../src/families/inspect.js';
import { readWeightFile } from '../../../src/weights/read-weight-file.js';
import { goldenCase } from '../../golden.js';
import { safetensors, writeShapes } from '../weights/make-files.js';

const e2e = goldenCase('e2e-sd1');

test('a complete checkpoint', async () => {
  const model = e2e.weights();
  const { bytes, tensors } = e2e.facts.files![basename(model)]!;
  const found = await inspectFile(model);
  expect(found).toMatchObject({
    format: 'safetensors',
    files: 1,
    bytes,
    family: 'sd1',
    summary: 'Stable Diffusion 1.x, complete',
    missing: [],
    tensors,
  });
  const names = [...(await readWeightFile(model)).tensors.keys()];
  const below = (prefix: string) =>
    names.filter((name) => name.startsWith(prefix) && !name.endsWith('position_ids')).length;
  expect(found.networks.map(({ kind, layout, tensors }) => [kind, layout, tensors])).toEqual([
    ['unet', 'LDM', below('model.diffusion_model.')],
    ['autoencoder', 'LDM', below('first_stage_model.')],
    ['clip', 'Hugging Face', below('cond_stage_model.')],
  ]);
  expect(found.types[0]).toMatchObject({ type: 'f16' });
  expect(found.memory.weights).toBeLessThan(found.bytes);
  expect(found.memory.largest).toBe(Math.max(...found.networks.map(({ bytes }) => bytes)));
  expect(found.plan?.family).toBe('sd1');
});

test('a quantised transformer, and its missing parts', async () => {
  const path = goldenCase('quant-flux1').path('q4_k.gguf');
  const flux = await inspectFile(path);
  const { metadata, tensors } = await readWeightFile(path);
  expect(flux).toMatchObject({ family: 'flux', name: metadata.get('general.name'), format: 'gguf' });
  expect(flux.missing.map(({ part }) => part)).toEqual(['vae', 'clip_l', 't5xxl']);
  expect(flux.missing[2]?.bring).toContain('--t5xxl');
  const counts: Record<string, number> = {};
  for (const { type } of tensors.values()) counts[type] = (counts[type] ?? 0) + 1;
  expect(Object.keys(counts)).toEqual(expect.arrayContaining(['f32', 'q4_k']));
  expect(Object.fromEntries(flux.types.map((use) => [use.type, use.tensors]))).toEqual(counts);
});

test('parts', async () => {
  const vae = await inspectFile(goldenCase('vae-flux2').weights());
  expect(vae.family).toBeUndefined();
  expect(vae.summary).toBe('no denoiser; an autoencoder');
  const lora = goldenCase('lora-sd1');
  const { rank } = lora.config<{ rank: number }>();
  const modules = [...(await readWeightFile(lora.path('kohya.safetensors'))).tensors.keys()].filter((name) =>
    name.endsWith('.lora_up.weight'),
  );
  const { summary } = await inspectFile(lora.path('kohya.safetensors'));
  expect(summary).toMatch(new RegExp(`^LoRA of ${modules.length} modules, rank ${rank}\\b`));
});

test.each([
  ['lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k', 768, ', for Stable Diffusion 1.x'],
  ['unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_v', 1024, ', for Stable Diffusion 2.x'],
  ['lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k', 2048, ', for Stable Diffusion XL'],
  ['transformer.single_transformer_blocks.0.attn.to_k', 3072, ', for FLUX'],
  ['lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_k', 1280, ''],
])('%s shows which model a LoRA is for', async (module, width, base) => {
  const path = writeShapes({
    [`${module}.lora_down.weight`]: [4, width],
    [`${module}.lora_up.weight`]: [64, 4],
  });
  expect((await inspectFile(path)).summary).toBe(`LoRA of 1 modules, rank 4${base}`);
});

test('a 20 GB file takes well under a second', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'imageforge-inspect-')), 'large.safetensors');
  const header: Record<string, object> = {};
  let end = 0;
  const add = (name: string, shape: number[]) => {
    const begin = end;
    end += shape.reduce((a, b) => a * b, 2);
    header[name] = { dtype: 'BF16', shape, data_offsets: [begin, end] };
  };
  for (let i = 0; i < 19; i++) {
    for (const half of ['img', 'txt']) {
      add(`double_blocks.${i}.${half}_attn.qkv.weight`, [9216, 3072]);
      add(`double_blocks.${i}.${half}_mlp.0.weight`, [12288, 3072]);
      add(`double_blocks.${i}.${half}_mlp.2.weight`, [3072, 12288]);
      add(`double_blocks.${i}.${half}_mod.lin.weight`, [18432, 3072]);
    }
  }
  for (let i = 0; i < 38; i++) add(`single_blocks.${i}.linear1.weight`, [21504, 3072]);
  const bytes = safetensors(header, Buffer.alloc(0));
  writeSync(openSync(path, 'w'), bytes);
  truncateSync(path, bytes.length + end);
  expect(end).toBeGreaterThan(1.5e10);
  const start = performance.now();
  const found = await inspectFile(path);
  expect(performance.now() - start).toBeLessThan(500);
  expect(found).toMatchObject({ family: 'flux', parameters: end / 2 });
});
