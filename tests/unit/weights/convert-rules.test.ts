// Which type each tensor gets, by its name, shape and stored type.
import { expect, it } from 'vitest';
import { chooseType, readConvertType, readTensorRule } from '../../../src/weights/convert-rules.js';

const choose = (name: string, shape: number[], wanted: string, rules: string[] = [], type = 'f16') =>
  chooseType({ name, type, shape }, wanted, rules.map(readTensorRule));
const matrix = 'model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight';

it('uses the requested type for matrices, or the nearest one if blocks do not fit', () => {
  expect(choose(matrix, [320, 768], 'q4_k')).toBe('q4_k');
  expect(choose(matrix, [320, 320], 'q4_k')).toBe('q5_0');
  expect(choose(matrix, [320, 320], 'q5_k')).toBe('q5_1');
  expect(choose(matrix, [320, 320], 'q6_k')).toBe('q8_0');
  expect(choose(matrix, [320, 320], 'q2_k')).toBe('q4_0');
  expect(choose(matrix, [320, 90], 'q6_k')).toBe('f16');
  expect(choose(matrix, [320, 320], 'bf16')).toBe('bf16');
});

it('stores kernels in at least 8 bits, if their channels fill whole blocks', () => {
  const kernel = 'model.diffusion_model.input_blocks.1.0.in_layers.2.weight';
  for (const type of ['q8_0', 'q4_0', 'q4_k']) {
    expect(choose(kernel, [320, 320, 3, 3], type)).toBe('q8_0');
    expect(choose(kernel, [320, 320, 1, 1], type)).toBe('q8_0');
  }
  expect(choose(kernel, [320, 100, 3, 3], 'q8_0')).toBe('f16');
  expect(choose(kernel, [320, 320, 3, 1], 'q8_0')).toBe('f16');
  expect(choose(kernel, [320, 320, 3, 3], 'bf16')).toBe('bf16');
  expect(choose(kernel, [320, 320, 3, 3], 'q8_0', ['in_layers=q4_0'])).toBe('q4_0');
});

it('does not quantise vectors, small tensors, first and last layers, or autoencoders', () => {
  expect(choose('a.bias', [4096], 'q8_0')).toBe('f32');
  expect(choose('a.bias', [4096], 'f16')).toBe('f32');
  expect(choose('a.logit_scale', [], 'q8_0')).toBe('f32');
  for (const [name, shape] of [
    ['model.diffusion_model.input_blocks.0.0.weight', [320, 4, 3, 3]],
    ['first_stage_model.decoder.up.0.block.0.conv1.weight', [128, 128, 3, 3]],
    ['decoder.3.conv.0.weight', [64, 64, 3, 3]],
    ['model.diffusion_model.time_embed.0.weight', [1280, 320]],
    ['img_in.weight', [3072, 64]],
    ['final_layer.linear.weight', [64, 3072]],
    ['proj_out.weight', [64, 3072]],
    ['first_stage_model.decoder.mid.attn_1.q.weight', [512, 512]],
    ['decoder.mid_block.attentions.0.to_q.weight', [512, 512]],
    ['text_model.embeddings.position_embedding.weight', [77, 768]],
    ['x.tiny.weight', [4, 32]],
  ] as const)
    expect(choose(name, [...shape], 'q4_0'), name).toBe('f16');
  expect(choose('encoder.block.0.layer.0.SelfAttention.q.weight', [4096, 4096], 'q4_0')).toBe('q4_0');
  expect(choose('single_transformer_blocks.0.proj_out.weight', [3072, 15360], 'q4_0')).toBe('q4_0');
  expect(choose('shared.weight', [32128, 4096], 'q4_k')).toBe('q8_0');
});

it('follows the first rule that matches, as far as the shape allows', () => {
  expect(choose(matrix, [320, 320], 'q4_0', ['to_q=q8_0', 'attn=f16'])).toBe('q8_0');
  expect(choose('first_stage_model.x.weight', [512, 512], 'q4_0', ['^first_stage=q8_0'])).toBe('q8_0');
  expect(choose('a.bias', [64], 'q4_0', ['a=q8_0'])).toBe('f32');
  expect(choose('a.bias', [64], 'q4_0', ['a=f16'])).toBe('f16');
});

it('copies integers, leaves out what GGUF cannot store, refuses to round twice', () => {
  expect(choose('position_ids', [1, 77], 'q8_0', [], 'i64')).toBe('i64');
  expect(choose('mask', [77], 'q8_0', [], 'bool')).toBeUndefined();
  expect(choose('v_pred', [0], 'q8_0')).toBeUndefined();
  expect(choose(matrix, [320, 320], 'q8_0', [], 'q8_0')).toBe('q8_0');
  expect(choose('img_in.weight', [3072, 64], 'q4_0', [], 'q8_0')).toBe('q8_0');
  expect(() => choose(matrix, [320, 320], 'q4_0', [], 'q8_0')).toThrow(
    expect.objectContaining({ code: 'UNSUPPORTED' }),
  );
  expect(() => choose(matrix, [320, 320], 'q8_0', [], 'iq2_xs')).toThrow(
    expect.objectContaining({ code: 'UNSUPPORTED' }),
  );
});

it('dequantises quantised tensors, and quantises types that GGUF lacks', () => {
  expect(choose(matrix, [320, 320], 'f16', [], 'q8_0')).toBe('f16');
  expect(choose(matrix, [320, 320], 'q4_0', ['to_q=bf16'], 'q8_0')).toBe('bf16');
  expect(choose('a.bias', [320], 'q4_0', [], 'q8_0')).toBe('q8_0');
  expect(choose('a.bias', [320], 'f16', [], 'q8_0')).toBe('f32');
  for (const type of ['f8_e4m3', 'int8', 'int4', 'f4_e2m1', 'f4_e2m1_upper', 'f64'])
    expect(choose(matrix, [320, 320], 'q8_0', [], type)).toBe('q8_0');
  const scaled = { name: matrix, type: 'nvfp4', shape: [320, 320], scale: 0.5 };
  expect(chooseType(scaled, 'q8_0', [])).toBe('q8_0');
});

it('reads types and rules, and refuses nonsense', () => {
  const invalid = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
  expect(readConvertType('Q4_K')).toBe('q4_k');
  expect(readTensorRule('a=b=Q8_0')).toMatchObject({ type: 'q8_0', pattern: /a=b/u });
  for (const type of ['q9', 'iq2_xxs', '', 'i32']) expect(() => readConvertType(type)).toThrow(invalid);
  for (const rule of ['', '=q8_0', 'x', 'x=', '(=q8_0']) expect(() => readTensorRule(rule)).toThrow(invalid);
});
