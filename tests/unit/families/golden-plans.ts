// Plans over the golden checkpoints, for tests that need a model but don't run it.
import { planModel } from '../../../src/families/index.js';
import type { ModelPlan } from '../../../src/families/types.js';
import { goldenCase } from '../../golden.js';
import { safetensors, writeTemporary } from '../weights/make-files.js';

export function planSd1(): Promise<ModelPlan> {
  return planModel({ model: goldenCase('e2e-sd1').path('model.safetensors') });
}

/** The golden transformer takes wider text states than the golden T5 gives: a header of a fitting one does. */
export function planFlux1(model = goldenCase('flux1-schnell').path('model.safetensors')): Promise<ModelPlan> {
  return planModel({
    model,
    vae: goldenCase('vae-flux1').path('ae.safetensors'),
    clip_l: goldenCase('clip-text-standalone-l').path('clip_l.safetensors'),
    t5xxl: writeTinyT5(256),
  });
}

export function writeTinyT5(width: number): string {
  const shapes: Record<string, number[]> = {
    'shared.weight': [8, width],
    'encoder.final_layer_norm.weight': [width],
    'encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight': [32, 4],
    'encoder.block.0.layer.0.layer_norm.weight': [width],
    'encoder.block.0.layer.1.layer_norm.weight': [width],
    'encoder.block.0.layer.1.DenseReluDense.wi_0.weight': [8, width],
    'encoder.block.0.layer.1.DenseReluDense.wi_1.weight': [8, width],
    'encoder.block.0.layer.1.DenseReluDense.wo.weight': [width, 8],
  };
  for (const name of ['q', 'k', 'v'])
    shapes[`encoder.block.0.layer.0.SelfAttention.${name}.weight`] = [8, width];
  shapes['encoder.block.0.layer.0.SelfAttention.o.weight'] = [width, 8];
  let end = 0;
  const header: Record<string, unknown> = {};
  for (const [name, shape] of Object.entries(shapes)) {
    const begin = end;
    end += shape.reduce((a, b) => a * b, 2);
    header[name] = { dtype: 'F16', shape, data_offsets: [begin, end] };
  }
  return writeTemporary(safetensors(header, Buffer.alloc(end)));
}
