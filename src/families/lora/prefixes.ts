// What stands before a module's path: which network it belongs to, in the words of each trainer.
import type { Part } from '../types.js';

/** diffusers', ComfyUI's and PEFT's. */
export const denoiserPrefixes = [
  '',
  'unet.',
  'transformer.',
  'diffusion_model.',
  'model.diffusion_model.',
  'base_model.model.',
  'unet.base_model.model.',
  'transformer.base_model.model.',
  'diffusion_model.base_model.model.',
];

/** kohya's (also for OFT), OneTrainer's, and LyCORIS' as SimpleTuner writes it. */
export const kohyaDenoiserPrefixes = ['lora_unet_', 'oft_unet_', 'lora_transformer_', 'lycoris_'];

/** By part: the prefixes with dots, and kohya's with underscores. */
export const textPrefixes: Record<Part, { dotted: string[]; kohya: string[] }> = {
  model: { dotted: [], kohya: [] },
  vae: { dotted: [], kohya: [] },
  clip_l: {
    dotted: [
      ...withPeft('text_encoder.', 'text_encoders.clip_l.transformer.', 'clip_l.transformer.', 'clip_l.'),
      // PEFT's folder of a text encoder alone doesn't say which one it is
      'base_model.model.',
    ],
    kohya: ['lora_te_', 'lora_te1_', 'lycoris_te_', 'lycoris_te1_'],
  },
  clip_g: {
    dotted: withPeft(
      'text_encoder_2.',
      'text_encoders.clip_g.transformer.',
      'clip_g.transformer.',
      'clip_g.',
    ),
    kohya: ['lora_te2_', 'lycoris_te2_'],
  },
  t5xxl: {
    dotted: withPeft(
      'text_encoder_2.',
      'text_encoder_3.',
      'text_encoders.t5xxl.transformer.',
      't5xxl.transformer.',
      't5xxl.',
      't5.',
    ),
    kohya: ['lora_te3_', 'lora_te2_', 'lycoris_te3_', 'lycoris_te2_'],
  },
  llm: {
    dotted: withPeft(
      'text_encoder.',
      'text_encoder.model.',
      'text_encoder.model.language_model.',
      'text_encoder.language_model.',
      'text_encoder.language_model.model.',
    ),
    kohya: ['lora_te_', 'lora_te1_', 'lora_te_model_', 'lora_te1_model_'],
  },
};

/** PEFT puts its own names between the network and the path. */
function withPeft(...prefixes: string[]): string[] {
  return [...prefixes, ...prefixes.map((prefix) => `${prefix}base_model.model.`)];
}

/** kohya's spelling of a path. */
export function underscored(path: string): string {
  return path.replaceAll('.', '_');
}
