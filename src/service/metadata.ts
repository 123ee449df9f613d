// What is written about a picture: the sidecar's fields (those of both replaced programs) and the times in their forms.
import path from 'node:path';
import type { Control, HiresPass, HiresUpscaler, Task } from '../pipeline/types.js';
import { readVersion } from '../shared/version.js';
import type { Size } from './pictures.js';
import type { PreparedRequest } from './prepare.js';

/** One picture's sidecar. Fields that both programs have under different names appear under both. */
export interface ImageMetadata {
  prompt: string;
  negative_prompt: string;
  seed: number;
  steps: number;
  guidance: number;
  guidance_scale: number;
  width: number;
  height: number;
  model: string;
  /** Hugging Face id, file name, or null. */
  model_id: string | null;
  family: string;
  task: TaskName;
  sampler: string;
  schedule: string;
  noise: string;
  /** What the network predicts, where the request forced it. */
  prediction: string | null;
  clip_skip: number;
  strength: number | null;
  /** The second pass; what it made has the width and height above, or what the upscaler got. */
  hires: HiresFacts | null;
  loras: { name: string; strength: number }[];
  /** Names of the embeddings that the prompts used. */
  embeddings: string[];
  /** The ControlNet that steered the steps. */
  control: ControlFacts | null;
  /** Name of the upscaler that made the picture width x height, and how many times larger than it was drawn. */
  upscaler: string | null;
  upscale: number | null;
  /** Name of the tiny autoencoder that drew the picture in the large one's place. */
  tae: string | null;
  /** The prompt was expanded; `original_prompt` is what was asked. */
  assisted: boolean;
  original_prompt: string | null;
  cached: boolean;
  generation_time_seconds: number;
  elapsed_s: number;
  /** Local time without zone. */
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

/** What a sidecar tells besides what was asked. */
export interface PictureFacts {
  prepared: PreparedRequest;
  elapsedSeconds: number;
  cached: boolean;
  originalPrompt: string | null;
}

/** The sidecar of one picture of a batch; its file's name comes when it has one. */
export function describePicture(
  { prepared, elapsedSeconds, cached, originalPrompt }: PictureFacts,
  seed: number,
): ImageMetadata {
  const { request, model, plan, size, upscale } = prepared;
  const now = new Date();
  return {
    prompt: request.prompt,
    negative_prompt: request.negativePrompt,
    seed,
    steps: request.steps,
    guidance: request.guidance,
    guidance_scale: request.guidance,
    ...size,
    model: model.key,
    model_id: model.entry?.hubId ?? plan.name,
    family: plan.family,
    task: nameTask(request.task),
    sampler: request.sampler,
    schedule: request.schedule,
    noise: request.noise,
    prediction: request.prediction ?? null,
    clip_skip: request.clipSkip,
    strength: request.init ? request.strength : null,
    hires: request.hires ? describeHires(request, request.hires) : null,
    loras: (request.loras ?? []).map((lora) => ({
      name: path.parse(lora.path).name,
      strength: lora.strength,
    })),
    embeddings: [...new Set((request.embeddings ?? []).map(({ path: file }) => path.parse(file).name))],
    control: request.control ? describeControl(request.control) : null,
    upscaler: request.upscaler ? path.parse(request.upscaler.path).name : null,
    upscale: request.upscaler ? upscale : null,
    tae: request.tiny?.final ? path.parse(request.tiny.path).name : null,
    assisted: originalPrompt !== null,
    original_prompt: originalPrompt,
    cached,
    generation_time_seconds: elapsedSeconds,
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

/** The tasks' names in answers and sidecars. */
export type TaskName = 'text2img' | 'img2img' | 'inpaint';

export function nameTask(task: Task): TaskName {
  return task;
}

/** 2026-06-10T07:58:28, local. */
export function formatLocalTime(date: Date): string {
  const { day, time } = split(date);
  return `${day.join('-')}T${time.join(':')}`;
}

/** 20260610_075828, local: the middle of a file's name. */
export function formatFileTime(date: Date): string {
  const { day, time } = split(date);
  return `${day.join('')}_${time.join('')}`;
}

/** 2026-06-10T07:58:28Z */
export function formatUtcTime(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}

function split(date: Date): { day: string[]; time: string[] } {
  const pad = (value: number) => String(value).padStart(2, '0');
  return {
    day: [String(date.getFullYear()), pad(date.getMonth() + 1), pad(date.getDate())],
    time: [pad(date.getHours()), pad(date.getMinutes()), pad(date.getSeconds())],
  };
}
