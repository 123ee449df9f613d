// Schemas of the answers, for the OpenAPI document and for MCP tools. The compiler checks them against the types of the
// real answers.
import { z } from 'zod';
import type { ModelDescription } from '../models/list.js';
import { OPERATIONS } from '../request/parse.js';
import type { ImageResponse, UpscaleResponse } from './results.js';

/** Fails to compile when a schema and the type of its answer diverge. */
type Matches<Type, Schema extends z.ZodType<Type>> = Schema;

const imageFields = {
  output_path: z.string().nullable().describe('Path of the PNG on the server’s machine'),
  metadata_path: z.string().nullable().describe('Path of its JSON sidecar'),
  image_base64: z.string().nullable().describe('The PNG in base64'),
  mime: z.literal('image/png'),
};

const seedAnswer = z
  .union([z.int(), z.string()])
  .describe('A number up to 2^53 - 1, above that a string of digits');

export const imageResponseSchema = z
  .object({
    ok: z.literal(true),
    task: z.enum(['text2img', 'img2img', 'inpaint']),
    model: z.string(),
    seed: seedAnswer,
    steps: z.int(),
    guidance: z.number(),
    guidance_scale: z.number().describe('The same as guidance'),
    width: z.int(),
    height: z.int(),
    elapsed_s: z.number(),
    generation_time_seconds: z.number().describe('The same as elapsed_s'),
    prompt: z.string().describe('As the model saw it'),
    negative_prompt: z.string(),
    sampler: z.string(),
    schedule: z.string(),
    assisted: z.boolean().describe('Whether Ollama expanded the prompt'),
    cached: z.boolean().describe('Whether this is the stored image of an identical earlier request'),
    timestamp: z.string(),
    notes: z
      .array(z.string())
      .describe('What of the request had no effect and why, and other hints for people'),
    ...imageFields,
    images: z.array(z.object({ seed: seedAnswer, ...imageFields })).describe('All images of the batch'),
  })
  .meta({ id: 'ImageResponse' });
export type ImageResponseSchema = Matches<ImageResponse, typeof imageResponseSchema>;

export const upscaleResponseSchema = z
  .object({
    ok: z.literal(true),
    task: z.literal('upscale'),
    model: z.string(),
    scale: z.number().describe('Size of the result relative to the source'),
    width: z.int(),
    height: z.int(),
    source_width: z.int(),
    source_height: z.int(),
    elapsed_s: z.number(),
    timestamp: z.string(),
    ...imageFields,
    notes: z.array(z.string()).describe('For people'),
  })
  .meta({ id: 'UpscaleResponse' });
export type UpscaleResponseSchema = Matches<UpscaleResponse, typeof upscaleResponseSchema>;

export const healthSchema = z
  .object({
    status: z.literal('ok'),
    device: z.string(),
    mps_available: z.boolean(),
    engine_constructed: z.boolean(),
    resident_models: z.array(z.string()),
    default_model: z.string(),
    ollama: z.object({
      reachable: z.boolean(),
      url: z.string(),
      model: z.string(),
      model_available: z.boolean(),
    }),
    version: z.string(),
  })
  .meta({ id: 'Health' });

export const modelSchema = z
  .object({
    key: z.string().describe('Its name in requests'),
    name: z.string(),
    hub_id: z.string().nullable(),
    operations: z.array(z.enum(['text2img', 'img2img', 'inpaint', 'reference'])).readonly(),
    default_steps: z.int().nullable(),
    default_guidance: z.number().nullable(),
    default_width: z.int().nullable(),
    default_height: z.int().nullable(),
    max_side: z.int(),
    est_memory: z.string().nullable(),
    quality: z.string().nullable(),
    guard: z.enum(['ALLOW_FLUX', 'ALLOW_KLEIN']).nullable().describe('The setting that unlocks it'),
    guard_reason: z.string().nullable(),
    allowed: z.boolean(),
    available: z.boolean().describe('Whether all its files are on this disk'),
    hint: z.string().nullable().describe('How to get what is missing'),
    default: z.boolean(),
  })
  .meta({ id: 'Model' });
export type ModelSchema = Matches<ModelDescription, typeof modelSchema>;

export const modelsSchema = z
  .object({ default_model: z.string(), models: z.array(modelSchema) })
  .meta({ id: 'Models' });

export const jobSchema = z
  .object({
    id: z.string(),
    status: z.enum(['queued', 'running', 'done', 'failed', 'cancelled']),
    operation: z.enum(OPERATIONS),
    position: z.int().nullable().describe('Place in the queue, 1 = next'),
    progress: z
      .object({
        phase: z.enum(['load', 'encode', 'denoise', 'decode', 'upscale']),
        image: z.int(),
        step: z.int(),
        steps: z.int(),
        pass: z.int().describe('1, or 2 in the second pass of hires fix'),
        passes: z.int(),
        done: z.int().describe('Finished steps over all images and passes'),
        total: z.int(),
      })
      .nullable(),
    created_at: z.string(),
    started_at: z.string().nullable(),
    ended_at: z.string().nullable(),
    result: z.union([imageResponseSchema, upscaleResponseSchema]).nullable(),
    error: z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }).nullable(),
    events_url: z.string(),
  })
  .meta({ id: 'Job' });
