// Hints that name families come from the list of families, so that a new family appears in all of them.
import { expect, test } from 'vitest';
import { findControlNet } from '../../../src/families/control-net.js';
import { convertModel } from '../../../src/families/convert-model.js';
import { families, planModel } from '../../../src/families/index.js';
import { ImageForgeError } from '../../../src/shared/errors.js';
import { writeShapes } from '../weights/make-files.js';

const unknown = writeShapes({ 'bert.embeddings.word_embeddings.weight': [8, 8] });
const foreign = writeShapes({ 'joint_blocks.0.x_block.attn.qkv.weight': [8, 8] });
const variant = writeShapes({
  'double_blocks.0.img_attn.qkv.weight': [24, 8],
  'distilled_guidance_layer.in_proj.weight': [8, 8],
});

test.each<[string, () => Promise<unknown>]>([
  ['a file without a known network', () => planModel({ model: unknown })],
  ['a network that ImageForge does not run', () => planModel({ model: foreign })],
  ['a variant of a known denoiser', () => planModel({ model: variant })],
  [
    'a file to convert that is not a model',
    () => convertModel({ input: unknown, output: 'never.gguf', type: 'q8_0' }),
  ],
])('%s: the hint names every family', async (_, run) => {
  const error = await run().catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ImageForgeError);
  for (const { title } of families) expect((error as ImageForgeError).hint).toContain(title);
});

test('no ControlNet: the hint names the families that take one, and no other', async () => {
  const error = (await findControlNet(unknown).catch((error: unknown) => error)) as ImageForgeError;
  expect(error.code).toBe('UNSUPPORTED');
  for (const { title, controlNet } of families) {
    if (controlNet) expect(error.hint).toContain(title);
    else expect(error.hint).not.toContain(title);
  }
});
