// What is written about a picture: the fields of its sidecar, those of both replaced programs among them.
import path from 'node:path';
import type { Control, HiresPass, HiresUpscaler, PipelineRequest, Task } from '../../pipeline/types.js';
import type { Seed } from '../../shared/seed.js';
import { readVersion } from '../../shared/version.js';
import type { Size } from './size.js';
import { formatLocalTime, formatUtcTime } from './times.js';

/** Fields of the request that the sidecar tells as they ran; the request schema marks them. */
interface FieldMetadata {
  steps: number;
  guidance: number;
  /** Where the request asked for it. */
  guidance_rescale: number | null;
  sampler: string;
  schedule: string;
  noise: string;
  /** What the network predicts, where the request forced it. */
  prediction: string | null;
  clip_skip: number;
  prompt_syntax: string | null;
  styles: string[] | null;
}

/** One picture's sidecar. Fields that both programs have under different names appear under both. */
export interface ImageMetadata extends FieldMetadata {
  prompt: string;
  negative_prompt: string;
  seed: Seed;
  guidance_scale: number;
  width: number;
  height: number;
  model: string;
  /** Hugging Face id, file name, or null. */
  model_id: string | null;
  family: string;
  task: Task;
  strength: number | null;
  /** The second pass; what it made has the width and height above, or what the upscaler got. */
  hires: HiresFacts | null;
  loras: LoraFacts[];
  /** Names of the embeddings that the prompts used. */
  embeddings: string[];
  /** The ControlNet that steered the steps. */
  control: ControlFacts | null;
  /** Name of the upscaler that made the picture width x height, and how many times larger than it was drawn. */
  upscaler: string | null;
  upscale: number | null;
  /** Name of the tiny autoencoder that drew the picture in the large one's place. */
  tae: string | null;
  /** Ollama expanded the prompt. */
  assisted: boolean;
  /** What was asked, where Ollama, styles or choices made another prompt of it. */
  original_prompt: string | null;
  original_negative_prompt: string | null;
  /** For people: what of the request had no effect, and why. */
  notes: string[];
  cached: boolean;
  generation_time_seconds: number;
  elapsed_s: number;
  /** Local time without zone. */
  timestamp: string;
  saved_at_iso: string;
  filename: string;
  software: string;
}

/** A LoRA by its file's name. */
export interface LoraFacts {
  name: string;
  strength: number;
  /** In the text encoders, where it is another. */
  text_strength?: number;
}

/** The sidecar of a picture that was made larger. */
export interface UpscaleMetadata {
  task: 'upscale';
  model: string;
  /** Result over source. */
  scale: number;
  width: number;
  height: number;
  source_width: number;
  source_height: number;
  elapsed_s: number;
  timestamp: string;
  saved_at_iso: string;
  filename: string;
  software: string;
}

export interface ControlFacts {
  model: string;
  strength: number;
  /** Shares of the steps. */
  start: number;
  end: number;
}

export interface HiresFacts {
  first_width: number;
  first_height: number;
  scale: number;
  steps: number;
  strength: number;
  upscaler: HiresUpscaler;
}

/** What a request became, as far as a sidecar tells it. */
export interface DrawnRequest {
  request: PipelineRequest;
  model: { key: string; entry?: { hubId: string | null } | undefined };
  plan: { name: string; family: string };
  /** Of the delivered pictures. */
  size: Size;
  /** How much larger than drawn the upscaler made them. */
  upscale: number;
  /** Values of the fields that the sidecar tells under their own names. */
  fields: Record<string, unknown>;
}

/** What only the finished run knows. */
export interface RunFacts {
  elapsedSeconds: number;
  cached: boolean;
  /** Ollama expanded the prompt. */
  assisted: boolean;
  /** What was asked, where it is not what the model saw. */
  originalPrompt: string | null;
  originalNegativePrompt: string | null;
  notes: string[];
}

/** The sidecar of one picture of a batch; its file's name comes when it has one. */
export function describePicture(
  { request, model, plan, size, upscale, fields }: DrawnRequest,
  { elapsedSeconds, cached, assisted, originalPrompt, originalNegativePrompt, notes }: RunFacts,
  seed: Seed,
): ImageMetadata {
  const now = new Date();
  const facts: Omit<ImageMetadata, keyof FieldMetadata> = {
    prompt: request.prompt,
    negative_prompt: request.negativePrompt,
    seed,
    ...size,
    guidance_scale: request.guidance,
    model: model.key,
    model_id: model.entry?.hubId ?? plan.name,
    family: plan.family,
    task: request.task,
    strength: request.init ? request.strength : null,
    hires: request.hires ? describeHires(request, request.hires) : null,
    loras: (request.loras ?? []).map((lora) => ({
      name: path.parse(lora.path).name,
      strength: lora.strength,
      ...(lora.textStrength !== undefined && { text_strength: lora.textStrength }),
    })),
    embeddings: [...new Set((request.embeddings ?? []).map(({ path: file }) => path.parse(file).name))],
    control: request.control ? describeControl(request.control) : null,
    upscaler: request.upscaler ? path.parse(request.upscaler.path).name : null,
    upscale: request.upscaler ? upscale : null,
    tae: request.tiny?.final ? path.parse(request.tiny.path).name : null,
    assisted,
    original_prompt: originalPrompt,
    original_negative_prompt: originalNegativePrompt,
    notes,
    cached,
    generation_time_seconds: elapsedSeconds,
    elapsed_s: elapsedSeconds,
    timestamp: formatLocalTime(now),
    saved_at_iso: formatUtcTime(now),
    filename: '',
    software: `imageforge ${readVersion()}`,
  };
  const { prompt, negative_prompt, ...rest } = facts;
  return { prompt, negative_prompt, ...(fields as unknown as FieldMetadata), ...rest };
}

/** The sidecar of a picture that was made larger. */
export function describeUpscaled(
  { name, scale, size, pixels }: { name: string; scale: number; size: Size; pixels: Size },
  elapsedSeconds: number,
): UpscaleMetadata {
  const now = new Date();
  return {
    task: 'upscale',
    model: name,
    scale,
    ...size,
    source_width: pixels.width,
    source_height: pixels.height,
    elapsed_s: elapsedSeconds,
    timestamp: formatLocalTime(now),
    saved_at_iso: formatUtcTime(now),
    filename: '',
    software: `imageforge ${readVersion()}`,
  };
}

function describeControl({ path: file, strength, start, end }: Control): ControlFacts {
  return { model: path.parse(file).name, strength, start, end };
}

function describeHires({ width, height }: Size, { scale, steps, strength, upscaler }: HiresPass): HiresFacts {
  return { first_width: width, first_height: height, scale, steps, strength, upscaler };
}
