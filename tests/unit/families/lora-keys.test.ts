// What the keys of LoRA files mean, in every trainer's spelling, and what becomes of keys that mean nothing.
import { join } from 'node:path';
import { expect, it } from 'vitest';
// @ts-expect-error plain JavaScript
import * as fixtures from '../../../scripts/fixtures/tensors.mjs';
import { describeLora } from '../../../src/families/lora/describe.js';
import { isLora, readKeys } from '../../../src/families/lora/keys.js';
import { resolveLora } from '../../../src/families/lora/resolve.js';
import { listLoraTargets } from '../../../src/families/lora/targets.js';
import type { TensorView } from '../../../src/families/tensors.js';
import { LoraSet } from '../../../src/pipeline/loras.js';
import { makeFolder } from '../../folder.js';
import { planFlux1, planSd1 } from '../../golden-plans.js';
import type { FileTensor } from '../../lora/kinds.js';

const { encode, writeSafetensors } = fixtures;
const folder = makeFolder('lora-keys');
const sd1 = await planSd1();
const flux = await planFlux1();

const tensor = (...shape: number[]): FileTensor =>
  encode(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.1), shape, 'F32');
function write(name: string, tensors: Record<string, FileTensor>): string {
  const path = join(folder, name);
  writeSafetensors(path, new Map(Object.entries(tensors)));
  return path;
}

it.each([
  ['x.lora_up.weight', 'up'],
  ['x.lora_B.weight', 'up'],
  ['x.lora_B', 'up'],
  ['x.lora_B.default.weight', 'up'],
  ['x.lora_B.ink_2.weight', 'up'],
  ['x.lora_A.default_0.weight', 'down'],
  ['x.lora_magnitude_vector.ink-2.weight', 'magnitude_vector'],
  ['x.hada_w1_a.ink', 'hada_w1_a'],
  ['x.lora.up.weight', 'up'],
  ['x.lora_linear_layer.down.weight', 'down'],
  ['x_lora.down.weight', 'down'],
  ['x.lora_A.weight', 'down'],
  ['x.lora_mid.weight', 'mid'],
  ['x.lora_B.bias', 'up_bias'],
  ['x.alpha', 'alpha'],
  ['x.dora_scale', 'dora_scale'],
  ['x.lora_magnitude_vector', 'magnitude_vector'],
  ['x.lora_magnitude_vector.weight', 'magnitude_vector'],
  ['x.lora_magnitude_vector.default.weight', 'magnitude_vector'],
  ['x.hada_w1_a', 'hada_w1_a'],
  ['x.hada_t2', 'hada_t2'],
  ['x.lokr_w2', 'lokr_w2'],
  ['x.lokr_w1_b.default', 'lokr_w1_b'],
  ['x.lokr_t2', 'lokr_t2'],
  ['x.a1.weight', 'glora_a1'],
  ['x.oft_blocks', 'oft_blocks'],
  ['x.oft_diag', 'oft_blocks'],
  ['x.rescale', 'rescale'],
  ['x.diff', 'diff'],
  ['x.w_norm', 'diff'],
  ['x.diff_b', 'diff_bias'],
  ['x.b_norm', 'diff_bias'],
  ['x.set_weight', 'value'],
])('%s is %s', (key, part) => {
  const { modules, others } = readKeys(new Map([[key, {} as TensorView]]));
  expect(others).toEqual([]);
  expect([...modules].map(([name, parts]) => [name, ...parts.keys()])).toEqual([['x', part]]);
});

it('a weight is IA3 only beside its second key', () => {
  const view = {} as TensorView;
  expect(readKeys(new Map([['x.weight', view]])).others).toEqual(['x.weight']);
  const { modules } = readKeys(
    new Map([
      ['x.weight', view],
      ['x.on_input', view],
    ]),
  ); // prettier-ignore
  expect([...modules.get('x')!.keys()]).toEqual(['ia3', 'on_input']);
  expect(isLora(new Map([['x.weight', view]]))).toBe(false);
});

const attention = 'down_blocks.0.attentions.0.transformer_blocks.0.attn1';
const ldm = 'input_blocks.1.1.transformer_blocks.0.attn1';
it.each([
  [`lora_unet_${attention.replaceAll('.', '_')}_to_q`, `${ldm}.to_q.weight`],
  [`lora_unet_${ldm.replaceAll('.', '_')}_to_q`, `${ldm}.to_q.weight`],
  [`oft_unet_${attention.replaceAll('.', '_')}_to_q`, `${ldm}.to_q.weight`],
  [`lycoris_${attention.replaceAll('.', '_')}_to_q`, `${ldm}.to_q.weight`],
  [`unet.${attention}.to_q`, `${ldm}.to_q.weight`],
  [`unet.base_model.model.${attention}.to_q`, `${ldm}.to_q.weight`],
  [`diffusion_model.${ldm}.to_q`, `${ldm}.to_q.weight`],
  ['lora_te_text_model_encoder_layers_0_mlp_fc1', 'text_model.encoder.layers.0.mlp.fc1.weight'],
  [
    'text_encoder.text_model.encoder.layers.0.self_attn.q_proj',
    'text_model.encoder.layers.0.self_attn.q_proj.weight',
  ],
  [
    'text_encoder.text_model.encoder.layers.0.self_attn.to_q',
    'text_model.encoder.layers.0.self_attn.q_proj.weight',
  ],
  ['base_model.model.text_model.encoder.layers.0.mlp.fc1', 'text_model.encoder.layers.0.mlp.fc1.weight'],
  [
    'text_encoder.encoder.layers.0.self_attn.out_proj',
    'text_model.encoder.layers.0.self_attn.out_proj.weight',
  ],
])('SD 1.x: %s', (name, expected) => {
  expect(listLoraTargets(sd1).get(name)?.tensor).toBe(expected);
});

it.each([
  ['double_blocks.0.processor.qkv_lora1', 'double_blocks.0.img_attn.qkv.weight'],
  ['double_blocks.0.processor.qkv_lora2', 'double_blocks.0.txt_attn.qkv.weight'],
  ['double_blocks.0.processor.proj_lora1', 'double_blocks.0.img_attn.proj.weight'],
  ['double_blocks.0.processor.proj_lora2', 'double_blocks.0.txt_attn.proj.weight'],
  ['single_blocks.0.processor.qkv', 'single_blocks.0.linear1.weight'],
  ['single_blocks.0.processor.proj', 'single_blocks.0.linear2.weight'],
  ['lora_unet_double_blocks_0_img_attn_qkv', 'double_blocks.0.img_attn.qkv.weight'],
  ['lora_transformer_transformer_blocks_0_attn_to_q', 'double_blocks.0.img_attn.qkv.weight'],
  ['lycoris_transformer_blocks_0_attn_to_q', 'double_blocks.0.img_attn.qkv.weight'],
  ['transformer.single_transformer_blocks.0.proj_mlp', 'single_blocks.0.linear1.weight'],
  ['double_blocks.0.img_attn.norm.query_norm.scale', 'double_blocks.0.img_attn.norm.query_norm.scale'],
  ['lora_te1_text_model_encoder_layers_0_mlp_fc1', 'text_model.encoder.layers.0.mlp.fc1.weight'],
  ['lora_te3_encoder_block_0_layer_0_SelfAttention_q', 'encoder.block.0.layer.0.SelfAttention.q.weight'],
  [
    'text_encoder_2.encoder.block.0.layer.0.SelfAttention.q',
    'encoder.block.0.layer.0.SelfAttention.q.weight',
  ],
])('FLUX.1: %s', (name, expected) => {
  expect(listLoraTargets(flux).get(name)?.tensor).toBe(expected);
});

const { shape: query } = sd1.denoiser.weights.tensors.find(({ name }) => name === `${ldm}.to_q.weight`)!;
const [rows = 0, inputs = 0] = query;
const known = `unet.${attention}.to_q`;
const pair = { [`${known}.lora_A.weight`]: tensor(4, inputs), [`${known}.lora_B.weight`]: tensor(rows, 4) };

it('keys without a target are counted and named in a note', async () => {
  const path = write('part.safetensors', {
    ...pair,
    'unet.nowhere.lora_A.weight': tensor(1),
    'unet.nowhere.lora_B.weight': tensor(1),
    [`${known}.boft_R`]: tensor(1),
    lonely: tensor(1),
    'bundle_emb.ink.emb_params': tensor(1),
  });
  const { notes } = await LoraSet.resolve([{ path, strength: 1 }], sd1);
  expect(notes).toHaveLength(1);
  expect(notes[0]).toContain('5 keys have no place in this model');
  for (const word of [
    'unet.nowhere.lora_A.weight',
    'lonely',
    "PEFT's BOFT and embeddings in the file (bundle_emb) is not supported",
    '1 modules have',
  ])
    expect(notes[0]).toContain(word);
});

it('a file without any target is refused with a reason', async () => {
  const refused = (name: string, tensors: Record<string, FileTensor>) =>
    expect(resolveLora(write(name, tensors), sd1, { denoiser: 1 })).rejects;
  await refused('boft.safetensors', { 'unet.x.boft_R': tensor(1) }).toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringContaining("PEFT's BOFT"),
  });
  for (const [key, name] of [
    ['randlora_lambda', 'RandLoRA'],
    ['vblora_logits_A', 'VB-LoRA'],
    ['fourierft_spectrum', 'FourierFT'],
    ['waveft_spectrum', 'WaveFT'],
    ['shira_weight', 'SHiRA'],
    ['bone_block', 'MiSS'],
    ['miss_block', 'MiSS'],
    ['c3a_kernel', 'C3A'],
    ['road_theta', 'RoAd'],
    ['ln_tuning_layers.weight', 'LNTuning'],
    ['trainable_tokens_delta', 'trained tokens'],
  ])
    await refused('peft.safetensors', { [`unet.x.${key}`]: tensor(1) }).toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining(name!),
    });
  await refused('lengths.safetensors', { ...pair, [`${known}.dora_scale`]: tensor(1, inputs + 1) }) //
    .toMatchObject({
      code: 'WEIGHTS_INVALID',
      message: expect.stringMatching(/lengths\.safetensors: .*\[1,\d+\]/),
    });
  await refused('half.safetensors', { [`${known}.lora_A.weight`]: tensor(4, inputs) }).toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringContaining(`${known}.lora_A.weight, which make up no update`),
  });
  await refused('flux.safetensors', {
    'lora_unet_double_blocks_0_img_attn_qkv.lokr_w1': tensor(2, 2),
    'lora_unet_double_blocks_0_img_attn_qkv.lokr_w2': tensor(2, 2),
  }).toMatchObject({ code: 'WEIGHTS_INVALID', message: expect.stringContaining('another family (FLUX)') });
  await refused('size.safetensors', {
    [`${known}.lokr_w1`]: tensor(4, 4),
    [`${known}.lokr_w2`]: tensor(rows, inputs),
    [`${known}.alpha`]: encode([4], [], 'F32'),
  }).toMatchObject({ code: 'WEIGHTS_INVALID', message: expect.stringContaining('(LoKr)') });
});

it('factors that hold no weights are named with their file', async () => {
  const refused = (name: string, tensors: Record<string, FileTensor>) =>
    expect(resolveLora(write(name, tensors), sd1, { denoiser: 1 })).rejects;
  const whole = (dtype: string, bytes: number) => ({
    dtype,
    shape: [rows, 4],
    data: Buffer.alloc(rows * 4 * bytes),
  });
  for (const [dtype, bytes] of [
    ['I8', 1],
    ['I32', 4],
    ['U8', 1],
  ] as const)
    await refused(`${dtype}.safetensors`, { ...pair, [`${known}.lora_B.weight`]: whole(dtype, bytes) }) //
      .toMatchObject({
        code: 'UNSUPPORTED',
        message: expect.stringMatching(
          new RegExp(`${dtype}\\.safetensors: .*lora_B\\.weight.*${dtype.toLowerCase()}`),
        ),
      });
  await refused('magnitude.safetensors', { ...pair, [`${known}.dora_scale`]: whole('I32', 4) }) //
    .toMatchObject({ code: 'UNSUPPORTED', message: expect.stringContaining('dora_scale') });
  await refused('zero.safetensors', {
    [`${known}.lora_A.weight`]: tensor(0, inputs),
    [`${known}.lora_B.weight`]: tensor(rows, 0),
  }).toMatchObject({
    code: 'WEIGHTS_INVALID',
    message: expect.stringMatching(/zero\.safetensors: .*no values/),
  });
});

it('text encoders have their own strength', async () => {
  const width = sd1.textEncoders[0]!.weights.tensors.find(({ name }) =>
    name.endsWith('0.self_attn.q_proj.weight'),
  )!;
  const text = 'lora_te_text_model_encoder_layers_0_self_attn_q_proj';
  const path = write('both.safetensors', {
    ...pair,
    [`${text}.lora_down.weight`]: tensor(4, width.shape[1]!),
    [`${text}.lora_up.weight`]: tensor(width.shape[0]!, 4),
  });
  const strengths = async (denoiser: number, ofText?: number) => {
    const lora = await resolveLora(path, sd1, { denoiser, text: ofText });
    return [lora.denoiser?.strength, lora.textEncoders[0]?.strength];
  };
  expect(await strengths(0.8)).toEqual([0.8, 0.8]);
  expect(await strengths(0.8, 0.5)).toEqual([0.8, 0.5]);
  expect(await strengths(0.8, 0)).toEqual([0.8, undefined]);
  expect(await strengths(0, 0.5)).toEqual([undefined, 0.5]);
  const key = async (textStrength?: number) =>
    (await LoraSet.resolve([{ path, strength: 0.8, textStrength }], sd1)).key;
  expect(await key(0.8)).toBe(await key());
  expect(await key(0.5)).not.toBe(await key());
});

it('memory is planned for changed weights', async () => {
  const difference = write('diff.safetensors', { [`${known}.diff`]: tensor(rows, inputs) });
  const { need } = await LoraSet.resolve([{ path: difference, strength: 1 }], sd1);
  expect(need.text).toBe(0);
  expect(need.denoiser).toBeGreaterThanOrEqual(2 * rows * inputs);
  expect(need.denoiser).toBeLessThanOrEqual((4 + 12) * rows * inputs);
  const beside = await LoraSet.resolve([{ path: write('pair.safetensors', pair), strength: 1 }], sd1);
  expect(beside.need.denoiser).toBe(4 * 4 * (rows + inputs));
});

it('describes what a file is', () => {
  const views = (tensors: Record<string, number[]>) =>
    new Map(Object.entries(tensors).map(([key, shape]) => [key, { shape } as TensorView]));
  expect(
    describeLora(views({ 'x.lora_up.weight': [8, 4], 'x.lora_down.weight': [4, 8], 'x.dora_scale': [1, 8] })),
  ).toBe('DoRA (LoRA) of 1 modules, rank 4');
  expect(
    describeLora(
      views({ 'x.hada_w1_a': [8, 2], 'x.hada_w1_b': [2, 8], 'x.hada_w2_a': [8, 2], 'x.hada_w2_b': [2, 8] }),
    ),
  ).toBe('LoHa of 1 modules, rank 2');
  expect(describeLora(views({ 'x.boft_R': [1] }))).toBe("PEFT's BOFT, which ImageForge doesn't apply");
});
