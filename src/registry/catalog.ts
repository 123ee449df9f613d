// The models that have a key: their files, where those are published, and their defaults. Other models are not excluded:
// any file of a known family works by its path.
import type { Part } from '../families/types.js';
import type { Config } from '../shared/config.js';

/** What a model can do. */
export type Capability = 'text2img' | 'img2img' | 'inpaint' | 'reference';

/** A file on the Hugging Face hub. */
export interface HubFile {
  repo: string;
  path: string;
}

/** Why a model is locked, and the setting that unlocks it. */
export interface Guard {
  setting: 'allowFlux' | 'allowKlein';
  reason: string;
}

export interface CatalogEntry {
  key: string;
  title: string;
  /** Id of the model card on the hub; users and FLUX_MODEL_ID may name the model by it. */
  hubId: string | null;
  files: { model: HubFile } & Partial<Record<Exclude<Part, 'model'>, HubFile>>;
  /** LoRAs that are part of the model: from the hub, or from a setting. */
  loras: readonly { file?: HubFile; setting?: 'portraitLora'; strength: number }[];
  operations: readonly Capability[];
  guard?: Guard;
  defaults: Partial<{
    steps: number;
    guidance: number;
    width: number;
    height: number;
    sampler: string;
    schedule: string;
  }>;
  /** Distilled to a few steps: FLUX_DEFAULT_STEPS and FLUX_DEFAULT_GUIDANCE don't apply. */
  distilled: boolean;
  /** Largest side if MAX_RES is not set. Default: the default of MAX_RES. */
  maxSide?: number;
  /** Estimated memory, as text for people. */
  memory: string;
  quality: string;
}

/** Key of the model that is part of the package. */
export const POCKET = 'pocket';

const ALL = ['text2img', 'img2img', 'inpaint'] as const;
const WITH_REFERENCES = [...ALL, 'reference'] as const;
const SDXL: HubFile = {
  repo: 'stabilityai/stable-diffusion-xl-base-1.0',
  path: 'sd_xl_base_1.0.safetensors',
};
const CLIP_L: HubFile = { repo: 'comfyanonymous/flux_text_encoders', path: 'clip_l.safetensors' };
const T5XXL: HubFile = { repo: 'city96/t5-v1_1-xxl-encoder-gguf', path: 't5-v1_1-xxl-encoder-Q8_0.gguf' };
const FLUX_VAE: HubFile = { repo: 'black-forest-labs/FLUX.1-schnell', path: 'ae.safetensors' };
const FLUX2_VAE: HubFile = { repo: 'Comfy-Org/flux2-dev', path: 'split_files/vae/flux2-vae.safetensors' };

const square = (side: number) => ({ width: side, height: side });

export const catalog: readonly CatalogEntry[] = [
  {
    key: 'sd15',
    title: 'Stable Diffusion 1.5',
    hubId: 'stable-diffusion-v1-5/stable-diffusion-v1-5',
    files: {
      model: {
        repo: 'stable-diffusion-v1-5/stable-diffusion-v1-5',
        path: 'v1-5-pruned-emaonly.safetensors',
      },
    },
    loras: [],
    operations: ALL,
    defaults: { steps: 25, guidance: 7.5, ...square(512) },
    distilled: false,
    memory: '~3 GB',
    quality: 'Good',
  },
  {
    key: 'sd-turbo',
    title: 'SD Turbo',
    hubId: 'stabilityai/sd-turbo',
    files: { model: { repo: 'stabilityai/sd-turbo', path: 'sd_turbo.safetensors' } },
    loras: [],
    operations: ALL,
    defaults: { steps: 2, guidance: 0, ...square(512), sampler: 'euler_a', schedule: 'trailing' },
    distilled: true,
    memory: '~4 GB',
    quality: 'Draft',
  },
  {
    key: 'sdxl-turbo',
    title: 'SDXL Turbo',
    hubId: 'stabilityai/sdxl-turbo',
    files: { model: { repo: 'stabilityai/sdxl-turbo', path: 'sd_xl_turbo_1.0_fp16.safetensors' } },
    loras: [],
    operations: ALL,
    defaults: { steps: 4, guidance: 0, ...square(512), sampler: 'euler_a', schedule: 'trailing' },
    distilled: true,
    memory: '~7 GB',
    quality: 'Good',
  },
  {
    key: 'sdxl',
    title: 'SDXL base 1.0',
    hubId: 'stabilityai/stable-diffusion-xl-base-1.0',
    files: { model: SDXL },
    loras: [],
    operations: ALL,
    defaults: { steps: 30, guidance: 7, ...square(1024) },
    distilled: false,
    memory: '~7 GB',
    quality: 'High',
  },
  {
    key: 'sdxl-lcm',
    title: 'SDXL base 1.0 with the LCM LoRA',
    hubId: 'latent-consistency/lcm-lora-sdxl',
    files: { model: SDXL },
    loras: [
      {
        file: { repo: 'latent-consistency/lcm-lora-sdxl', path: 'pytorch_lora_weights.safetensors' },
        strength: 1,
      },
    ],
    operations: ALL,
    defaults: { steps: 6, guidance: 1.5, ...square(1024), sampler: 'lcm', schedule: 'sgm_uniform' },
    distilled: true,
    memory: '~9 GB',
    quality: 'Best (non-FLUX)',
  },
  {
    key: 'sdxl-portrait',
    title: 'SDXL base 1.0 with the LoRA of IMAGEFORGE_LORA_PORTRAIT',
    hubId: null,
    files: { model: SDXL },
    loras: [{ setting: 'portraitLora', strength: 1 }],
    operations: ALL,
    defaults: { steps: 30, guidance: 7, ...square(1024) },
    distilled: false,
    memory: '~8 GB',
    quality: 'High + portrait LoRA',
  },
  {
    key: 'flux-q4',
    title: 'FLUX.1 schnell, Q4',
    hubId: 'black-forest-labs/FLUX.1-schnell',
    files: {
      model: { repo: 'city96/FLUX.1-schnell-gguf', path: 'flux1-schnell-Q4_K_S.gguf' },
      vae: FLUX_VAE,
      clip_l: CLIP_L,
      t5xxl: T5XXL,
    },
    loras: [],
    operations: ALL,
    guard: { setting: 'allowFlux', reason: 'it needs 8 GB, and 16-18 GB at its peak' },
    defaults: { steps: 4, ...square(1024) },
    distilled: true,
    memory: '~8 GB active / 16-18 GB peak',
    quality: 'Highest',
  },
  {
    key: 'flux1-dev',
    title: 'FLUX.1 dev',
    hubId: 'black-forest-labs/FLUX.1-dev',
    files: {
      model: { repo: 'city96/FLUX.1-dev-gguf', path: 'flux1-dev-Q8_0.gguf' },
      vae: FLUX_VAE,
      clip_l: CLIP_L,
      t5xxl: T5XXL,
    },
    loras: [],
    operations: ALL,
    defaults: { steps: 40, guidance: 7.5, ...square(1024) },
    distilled: false,
    maxSide: 2048,
    memory: '~18 GB',
    quality: 'Excellent',
  },
  {
    key: 'flux2-dev',
    title: 'FLUX.2 dev',
    hubId: 'black-forest-labs/FLUX.2-dev',
    files: {
      model: { repo: 'city96/FLUX.2-dev-gguf', path: 'flux2-dev-Q4_K_M.gguf' },
      vae: FLUX2_VAE,
      llm: {
        repo: 'unsloth/Mistral-Small-3.2-24B-Instruct-2506-GGUF',
        path: 'Mistral-Small-3.2-24B-Instruct-2506-Q4_K_M.gguf',
      },
    },
    loras: [],
    operations: WITH_REFERENCES,
    defaults: { steps: 50, guidance: 7.5, ...square(1024) },
    distilled: false,
    maxSide: 2048,
    memory: '~34 GB',
    quality: 'Maximum',
  },
  {
    key: 'flux2-klein',
    title: 'FLUX.2 klein 4B',
    hubId: 'black-forest-labs/FLUX.2-klein-4B',
    files: {
      model: { repo: 'black-forest-labs/FLUX.2-klein-4B', path: 'flux-2-klein-4b.safetensors' },
      vae: FLUX2_VAE,
      llm: { repo: 'unsloth/Qwen3-4B-GGUF', path: 'Qwen3-4B-Q8_0.gguf' },
    },
    loras: [],
    operations: WITH_REFERENCES,
    guard: { setting: 'allowKlein', reason: 'it needs 10 GB, and 13-16 GB in full precision' },
    defaults: { steps: 4, guidance: 1, ...square(1024) },
    distilled: true,
    memory: '~10 GB (int8) / 13-16 GB (bf16)',
    quality: 'Frontier',
  },
  {
    key: 'flux2-klein-9b',
    title: 'FLUX.2 klein 9B, Q4',
    hubId: 'black-forest-labs/FLUX.2-klein-9B',
    files: {
      model: { repo: 'unsloth/FLUX.2-klein-9B-GGUF', path: 'flux-2-klein-9b-Q4_K_M.gguf' },
      vae: FLUX2_VAE,
      llm: { repo: 'unsloth/Qwen3-8B-GGUF', path: 'Qwen3-8B-Q4_K_M.gguf' },
    },
    loras: [],
    operations: WITH_REFERENCES,
    guard: { setting: 'allowKlein', reason: 'it needs 8 GB, and 12-13 GB with all its parts in memory' },
    defaults: { steps: 4, guidance: 1, ...square(1024) },
    distilled: true,
    memory: '~8 GB (one part at a time) / 12-13 GB',
    quality: 'Frontier',
  },
];

/** Finds an entry by its key or by the id of its model card; letter case doesn't matter. */
export function findEntry(name: string): CatalogEntry | undefined {
  const wanted = name.toLowerCase();
  return catalog.find(({ key, hubId }) => key === wanted || hubId?.toLowerCase() === wanted);
}

/** The environment variable that unlocks a guarded model. */
export function guardVariable({ setting }: Guard): 'ALLOW_FLUX' | 'ALLOW_KLEIN' {
  return setting === 'allowFlux' ? 'ALLOW_FLUX' : 'ALLOW_KLEIN';
}

export const modelKeys: readonly string[] = [POCKET, ...catalog.map(({ key }) => key)];

/** Largest side of a model's pictures: MAX_RES if it is set, else the entry's own limit or the default of MAX_RES. */
export function maxSideOf(
  entry: CatalogEntry | undefined,
  { maxRes, set }: Pick<Config, 'maxRes' | 'set'>,
): number {
  return set.has('MAX_RES') ? maxRes : Math.max(maxRes, entry?.maxSide ?? 0);
}
