// Turns a door's request into one that the pipeline can run: resolves the model and its plan, the size, the pictures and
// every default. All that can be refused is refused here, before anything waits or is loaded.
import type { ModelPlan } from '../../families/types.js';
import { planUpscaler } from '../../families/upscaler.js';
import type { Pixels } from '../../native/addon.js';
import { finalSize, requireReferences, resolveRequest } from '../../pipeline/resolve.js';
import type { PipelineRequest } from '../../pipeline/types.js';
import { POCKET } from '../../registry/catalog.js';
import { resolveEmbeddings } from '../../registry/embeddings.js';
import { resolveLoras } from '../../registry/loras.js';
import { type ResolvedModel, resolveModel } from '../../registry/resolve-model.js';
import { chooseTinyAutoencoder } from '../../registry/tiny-autoencoders.js';
import type { Config } from '../../shared/config.js';
import { ImageForgeError } from '../../shared/errors.js';
import { listWeightFiles } from '../models/identity.js';
import type { ModelMemory } from '../models/memory.js';
import { decodeMask, decodePicture, decodeReference, measurePicture } from '../pictures/codec.js';
import type { Size } from '../pictures/size.js';
import { type PictureSource, readSource } from '../pictures/source.js';
import { confineRequest } from './confine.js';
import { addControl, openControl } from './control.js';
import { requireMemory } from './estimate.js';
import { expandRequest } from './expand.js';
import type { ImageRequest } from './parse.js';
import { SIDECAR_FIELDS, toCamelCase } from './schema.js';
import { fitSize, type SizeBounds } from './sizes.js';
import { locateUpscaler } from './upscale.js';

export interface PreparedRequest {
  request: PipelineRequest;
  model: ResolvedModel;
  plan: ModelPlan;
  /** Size of the delivered pictures, after the second pass and the upscaler. */
  size: Size;
  /** The upscaler's factor; 1 without one. */
  upscale: number;
  /** Identity of every weight file by its path, in order, for the cache and for comparing with the loaded model. */
  identities: ReadonlyMap<string, string>;
  /** Values of the request fields that the sidecar records under their own names. */
  fields: Record<string, unknown>;
  /** Whether styles or choices changed the prompts. */
  expanded: boolean;
  notes: string[];
}

export interface PrepareContext {
  config: Config;
  /** Paths in requests come from clients, not from the user of this machine. */
  confine: boolean;
  models: Pick<ModelMemory, 'plan' | 'identify'>;
}

/** @throws ImageForgeError INVALID_ARGUMENT, NOT_FOUND, FORBIDDEN, and those of models and weights. */
export async function prepareRequest(asked: ImageRequest, context: PrepareContext): Promise<PreparedRequest> {
  const { config } = context;
  const expanded = expandRequest(asked, config);
  const safe = { ...expanded, ...(context.confine && confineRequest(expanded, config)) };
  const model = resolveModel(safe, config);
  const plan = await context.models.plan(model.files);
  const defaults = { ...plan.defaults, ...model.defaults, ...generalDefaults(model, config) };
  const references = await readReferences(safe.references ?? [], { ...plan, name: model.key });
  const { size, init, mask } = await readPictures(safe, defaults, {
    maxSide: model.maxSide,
    multiple: Math.max(8, plan.latent.multiple ?? plan.latent.factor),
  });
  requireSides(size, model);
  const upscaler = await findRequestUpscaler(safe, context);
  const tiny = await chooseTinyAutoencoder(safe, plan, config);
  const control = await openRequestControl(safe, { ...plan, name: model.key }, config);
  const area = mask && (await decodeMask(mask, size, 'mask_image'));
  const loras = resolveLoras([...model.loras, ...safe.loras], config);
  const texts = expanded.pictures ?? [expanded];
  const prompts = texts.flatMap(({ prompt, negativePrompt }) => [prompt, negativePrompt]);
  const { promptSyntax: syntax } = expanded;
  const embeddings = await resolveEmbeddings(prompts, safe.embeddings, plan, config, syntax);
  const memoryMode = safe.memoryMode ?? config.memoryMode;
  const resolved = resolveRequest(
    {
      ...safe,
      ...size,
      init: init && (await decodePicture(init, size, 'init_image')),
      mask: area?.mask,
      loras,
      embeddings: embeddings.used,
      references,
      memoryMode,
      tae: tiny?.path,
      upscaler: upscaler?.file,
    },
    model.files,
    { ...plan, defaults, name: model.key },
  );
  const made = finalSize(resolved);
  requireSides(made, model);
  const request = control ? await addControl(resolved, control) : resolved;
  const needs = { ...made, references: request.references, control: control?.plan };
  const drawn = request.tiny?.final && tiny ? { ...plan, autoencoder: tiny.plan } : plan;
  requireMemory(model.key, drawn, needs, { device: config.device, memoryMode });
  const files = [...listWeightFiles(plan), ...[...loras, ...embeddings.used].map(({ path }) => path)];
  if (upscaler) files.push(upscaler.file);
  // A tiny autoencoder that only draws previews does not change the picture.
  if (request.tiny?.final) files.push(request.tiny.path);
  if (control) files.push(...control.plan.weights.files);
  const upscale = upscaler?.scale ?? 1;
  const identities = new Map(
    await Promise.all(files.map(async (file) => [file, await identifyExisting(file, context)] as const)),
  );
  return {
    request,
    model,
    plan,
    size: { width: made.width * upscale, height: made.height * upscale },
    upscale,
    identities,
    fields: readSidecarFields(request, safe),
    expanded: expanded.expanded,
    notes: [
      ...(area?.notes ?? []),
      ...(request.tiny && tiny ? tiny.notes : []),
      ...embeddings.notes,
      ...(model.chosenByUs && model.key === POCKET ? [biggerModels(config)] : []),
    ],
  };
}

/** Takes values from the pipeline's request. A field that the pipeline does not know keeps the requested value. */
function readSidecarFields(request: PipelineRequest, asked: ImageRequest): Record<string, unknown> {
  const known = { ...asked, ...request } as Record<string, unknown>;
  return Object.fromEntries(SIDECAR_FIELDS.map((name) => [name, known[toCamelCase(name)] ?? null]));
}

/** Checks first whether the model takes references, so that no picture is decoded for nothing. */
async function readReferences(
  sources: PictureSource[],
  plan: Pick<ModelPlan, 'references' | 'name'>,
): Promise<Pixels[] | undefined> {
  if (sources.length === 0) return undefined;
  const rule = requireReferences(sources.length, plan);
  const pictures: Pixels[] = [];
  for (const [i, source] of sources.entries()) {
    const name = `reference ${i + 1}`;
    pictures.push(await decodeReference(await readSource(source, name), rule, name));
  }
  return pictures;
}

/** FLUX_DEFAULT_STEPS and FLUX_DEFAULT_GUIDANCE override a model's own defaults, unless it is distilled to a few steps. */
function generalDefaults({ entry }: ResolvedModel, { defaultSteps, defaultGuidance }: Config) {
  if (entry?.distilled) return {};
  return {
    ...(defaultSteps !== undefined && { steps: defaultSteps }),
    ...(defaultGuidance !== undefined && { guidance: defaultGuidance }),
  };
}

async function readPictures(
  { init, mask, width, height }: ImageRequest,
  preferred: Size,
  bounds: SizeBounds,
): Promise<{ size: Size; init?: Uint8Array; mask?: Uint8Array }> {
  const largest = (side: number) => Math.min(side, bounds.maxSide);
  const defaults = { width: largest(preferred.width), height: largest(preferred.height) };
  if (!init) return { size: { width: width ?? defaults.width, height: height ?? defaults.height } };
  const bytes = await readSource(init, 'init_image');
  const asked = { ...(width !== undefined && { width }), ...(height !== undefined && { height }) };
  const size = fitSize(await measurePicture(bytes, 'init_image'), asked, defaults, bounds);
  return { size, init: bytes, ...(mask && { mask: await readSource(mask, 'mask_image') }) };
}

/** Reads the upscaler's header now, so that a wrong file is refused before anything is drawn. */
async function findRequestUpscaler(
  { upscaler }: ImageRequest,
  { config, confine }: PrepareContext,
): Promise<{ file: string; scale: number } | undefined> {
  if (upscaler === undefined) return undefined;
  const file = locateUpscaler(upscaler, config, confine);
  const { scale } = await planUpscaler(file);
  return { file, scale };
}

function openRequestControl({ control }: ImageRequest, plan: ModelPlan, config: Config) {
  if (!control) return undefined;
  const { image, ...options } = control;
  const label = 'path' in image ? `control_image ${image.path}` : 'control_image';
  return openControl(options, { read: () => readSource(image, 'control_image'), label }, plan, config);
}

function requireSides(size: Size, { key, maxSide, entry }: ResolvedModel): void {
  for (const name of ['width', 'height'] as const) {
    if (size[name] <= maxSide) continue;
    const limit = entry?.maxSide === maxSide ? `the limit of ${key}` : 'MAX_RES';
    throw new ImageForgeError(
      'INVALID_ARGUMENT',
      `${name}: expected at most ${maxSide} (${limit}), found ${size[name]}`,
      { hint: 'Raise MAX_RES if the machine can handle it.', details: { fields: [name], limit: maxSide } },
    );
  }
}

async function identifyExisting(file: string, { models }: PrepareContext): Promise<string> {
  try {
    return await models.identify(file);
  } catch (error) {
    throw new ImageForgeError('NOT_FOUND', `Cannot read ${file}: ${(error as Error).message}.`, {
      cause: error,
    });
  }
}

function biggerModels({ modelDir }: Config): string {
  return (
    'Made with pocket, the small model in the package. For others use `imageforge models list` and ' +
    '`imageforge models pull KEY`, ' +
    `or --model FILE with any Stable Diffusion GGUF or safetensors file (a file in ${modelDir} is known by its name).`
  );
}
