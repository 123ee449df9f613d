// Makes the sidecar of a picture, with the fields of both replaced programs.
import path from 'node:path';
import type { Control, HiresPass, HiresUpscaler, PipelineRequest, Task } from '../../pipeline/types.js';
import type { Seed } from '../../shared/seed.js';
import { readVersion } from '../../shared/version.js';
import type { Size } from './size.js';
import { formatLocalTime, formatUtcTime } from './times.js';

/** Request fields that the sidecar records with the values that were used. The request schema marks them. */
interface FieldMetadata {
  steps: number;
  guidance: number;
  /** null unless the request asked for it. */
  guidance_rescale: number | null;
  sampler: string;
  schedule: string;
  noise: string;
  /** What the network predicts, if the request forced it. */
  prediction: string | null;
  clip_skip: number;
  prompt_syntax: string | null;
  styles: string[] | null;
}

/** The sidecar of one picture. Fields that the two replaced programs name differently appear under both names. */
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
  /** The second pass. Its output has the width and height above, or was the upscaler's input. */
  hires: HiresFacts | null;
  loras: LoraFacts[];
  /** Names of the embeddings that the prompts used. */
  embeddings: string[];
  /** The ControlNet that steered the steps. */
  control: ControlFacts | null;
  /** Name of the upscaler that enlarged the picture to width x height, and its factor. */
  upscaler: string | null;
  upscale: number | null;
  /** Name of the tiny autoencoder that decoded the picture in place of the large one. */
  tae: string | null;
  /** Whether Ollama expanded the prompt. */
  assisted: boolean;
  /** The prompts as given, if Ollama, styles or choices changed them. */
  original_prompt: string | null;
  original_negative_prompt: string | null;
  /** Sentences for people: what of the request had no effect, and why. */
  notes: string[];
  cached: boolean;
  generation_time_seconds: number;
  elapsed_s: number;
  /** Local time without a time zone. */
  timestamp: string;
  saved_at_iso: string;
  filename: string;
  software: string;
}

/** A LoRA by its file name. */
export interface LoraFacts {
  name: string;
  strength: number;
  /** Strength in the text encoders, if it differs. */
  text_strength?: number;
}

/** The sidecar of a picture that was made larger. */
export interface UpscaleMetadata {
  task: 'upscale';
  model: string;
  /** Size of the result relative to the source. */
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
  /** As shares of the steps. */
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

/** The request as it ran, as far as the sidecar records it. */
export interface DrawnRequest {
  request: PipelineRequest;
  model: { key: string; entry?: { hubId: string | null } | undefined };
  plan: { name: string; family: string };
  /** Size of the delivered pictures. */
  size: Size;
  /** The upscaler's factor; 1 without one. */
  upscale: number;
  /** Values of the request fields that the sidecar records under their own names. */
  fields: Record<string, unknown>;
}

/** What is known only once the run has finished. */
export interface RunFacts {
  elapsedSeconds: number;
  cached: boolean;
  /** Whether Ollama expanded the prompt. */
  assisted: boolean;
  /** The prompts as given, where the model saw others. */
  originalPrompt: string | null;
  originalNegativePrompt: string | null;
  notes: string[];
}

/** Makes the sidecar of one picture of a batch. The file name is filled in when the picture is saved. */
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

/** Makes the sidecar of a picture that was made larger. */
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
