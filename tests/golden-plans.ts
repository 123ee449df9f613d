// Models made of golden checkpoints. If two cases need to fit each other but don't, a random network of the right width
// replaces one of them.
// @ts-expect-error plain JavaScript
import { mistralOfWidth, randomClip } from '../scripts/fixtures/networks.mjs';
// @ts-expect-error plain JavaScript
import { writeSafetensors } from '../scripts/fixtures/tensors.mjs';
import { planNetwork } from '../src/families/family.js';
import { planModel } from '../src/families/index.js';
import type { FluxConfig } from '../src/families/networks/flux.js';
import type { ModelFiles, ModelPlan } from '../src/families/types.js';
import { type GoldenCase, goldenCase } from './golden.js';
import { readFlux, readLanguageModel, readUnet, unetFacts, withStated } from './golden-networks.js';
import { safetensors, writeTemporary } from './unit/weights/make-files.js';

/** The end-to-end SD 1.x checkpoint, with the numbers of heads from its case, which no tensor shows. */
export async function planSd1(model = goldenCase('e2e-sd1').weights()): Promise<ModelPlan> {
  const { text, unet } = goldenCase('e2e-sd1').config<{ text: { heads: number }; unet: object }>();
  const plan = await planModel({ model }, { textHeads: text.heads });
  Object.assign(plan.denoiser.config, unetFacts(unet));
  return plan;
}

/** The inpainting UNet with the SD 1.x checkpoint's autoencoder and a text encoder that fits. */
export async function planInpaint(): Promise<{ files: ModelFiles; plan: ModelPlan }> {
  const golden = goldenCase('unet-sd1-inpaint');
  const { config } = await readUnet(golden);
  const files = {
    model: golden.weights(),
    vae: goldenCase('vae-sd').weights(),
    clip_l: writeClip(config.contextWidth),
  };
  const plan = await planModel(files);
  Object.assign(plan.denoiser.config, unetFacts(golden.config()));
  return { files, plan };
}

/** A CLIP text encoder with random weights and the whole vocabulary. */
export function writeClip(width: number): string {
  return writeTensors(randomClip({ seed: 4, width, layers: 2 }));
}

function writeTensors(tensors: unknown): string {
  const path = writeTemporary(Buffer.alloc(0), 'safetensors');
  writeSafetensors(path, tensors);
  return path;
}

/** Parts for a FLUX.1 case. T5 is only a header, for tests that don't run it. */
export async function partsOfFlux1(golden: GoldenCase) {
  const { config } = await readFlux(golden);
  const clip = goldenCase('clip-text-standalone-l');
  const fits = clip.config<{ width: number }>('').width === config.vectorWidth;
  return {
    vae: goldenCase('vae-flux1').weights(),
    clip_l: fits ? clip.weights() : writeClip(config.vectorWidth),
    t5xxl: writeTinyT5(config.contextWidth),
  };
}

/** `model` is a copy of the case's weights under another name. */
export async function planFlux1(
  golden = goldenCase('flux1-schnell'),
  model = golden.weights(),
): Promise<ModelPlan> {
  const plan = await planModel({ model, ...(await partsOfFlux1(golden)) });
  plan.denoiser.config = withStated(plan.denoiser.config as FluxConfig, golden.config());
  return plan;
}

/** The files of the end-to-end FLUX.2 klein. */
export function filesOfKlein() {
  const golden = goldenCase('e2e-flux2-klein');
  const part = (name: string) => golden.weights(name);
  return { model: part('transformer'), llm: part('text'), vae: part('vae') };
}

/** FLUX.2 klein with prompts of `rowLength` tokens, since the published 512 are slow. */
export async function planKlein(rowLength: number, files: ModelFiles = filesOfKlein()): Promise<ModelPlan> {
  const golden = goldenCase('e2e-flux2-klein');
  const plan = await planModel(files);
  const { config, tensors, taps } = await readLanguageModel(files.llm!, golden.config('text'));
  const encoder = planNetwork('causal_lm', config, tensors);
  plan.textEncoders = [{ ...plan.textEncoders[0]!, ...encoder, layers: taps, rowLength }];
  plan.denoiser.config = withStated(plan.denoiser.config as FluxConfig, golden.config('transformer'));
  return plan;
}

/** FLUX.2 dev, and the tensors of a matching Mistral. */
export async function partsOfFlux2Dev() {
  const golden = goldenCase('flux2-dev');
  const { config } = await readFlux(golden);
  const mistral = mistralOfWidth(goldenCase('flux2-text-mistral'), config.contextWidth / 3);
  return { model: golden.weights(), vae: goldenCase('vae-flux2').weights(), mistral };
}

export async function filesOfFlux2Dev(): Promise<ModelFiles> {
  const { mistral, ...files } = await partsOfFlux2Dev();
  return { ...files, llm: writeTensors(mistral) };
}

/** The header of a T5 with states of this width. */
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
