// Describes a weight file from its header, in well under a second whatever its size.
import { describeNoise } from '../sampling/trained-noise.js';
import type { Prediction } from '../sampling/types.js';
import { ImageForgeError } from '../shared/errors.js';
import { nameControlNetFamily } from './control-net.js';
import { findVectors } from './embeddings.js';
import { type Family, type FoundModel, findPart, howToBring, type PartNeed } from './family.js';
import { describeNetworks, type FoundNetwork, findNetworks } from './find-networks.js';
import { familyOf, findDenoiser, planModel } from './index.js';
import { describeLora } from './lora/describe.js';
import { isLora } from './lora/keys.js';
import { controlNets, hasKind, type NetworkKind, ofKind, upscalers } from './networks/index.js';
import { nameModel, openSources, type WeightSource } from './sources.js';
import { type Tensors, totalInMemory } from './tensors.js';
import { requireTokenizers } from './text-encoder-tokenizer.js';
import { describeTinyAutoencoder, isTiny } from './tiny-autoencoder.js';
import type { ModelPlan, SamplingFacts } from './types.js';

export interface TypeUse {
  /** ggml's name. */
  type: string;
  tensors: number;
  bytes: number;
}

export interface InspectedNetwork {
  kind: NetworkKind;
  /** Whose tensor names the file uses. */
  layout: string;
  tensors: number;
  parameters: number;
  bytes: number;
  types: TypeUse[];
}

export interface Inspection {
  path: string;
  format: 'gguf' | 'safetensors';
  /** More than one: shards, or the files of a folder. */
  files: number;
  /** Total size on disk. */
  bytes: number;
  name: string;
  /** One line for people. */
  summary: string;
  /** Key in the list of families; absent where there is no denoiser. */
  family?: string;
  networks: InspectedNetwork[];
  /** Parts that the family needs and the file doesn't have. */
  missing: Pick<PartNeed, 'part' | 'what' | 'bring'>[];
  /** What the files of a diffusion model say about sampling, and who says it. */
  sampling?: {
    prediction: Prediction;
    /** For people: steps, betas, range of sigmas. */
    noise: string;
    told: SamplingFacts['told'];
    notes: string[];
  };
  /** Why the model can't be used, apart from missing parts. */
  problem?: { code: string; message: string; hint?: string };
  tensors: number;
  parameters: number;
  types: TypeUse[];
  /** Bytes of all weights found, and of the largest network alone (memory mode "offload"). */
  memory: { weights: number; largest: number };
  /** The plan, where the file is a complete model. */
  plan?: ModelPlan;
}

/** Describes incomplete and unknown models instead of refusing them. @throws as readWeightFile */
export async function inspectFile(path: string): Promise<Inspection> {
  const sources = await openSources({ model: path });
  const networks = sources.flatMap(findNetworks);
  const files = sources.flatMap((source) => source.files);
  const all: Tensors = new Map(
    sources.flatMap((source, i) =>
      [...source.tensors].map(([name, view]) => [`${i}.${name}`, view] as const),
    ),
  );
  const denoiser = findDenoiser(networks);
  const family = denoiser && familyOf(denoiser);
  const name = nameModel(denoiser?.source ?? sources[0]!);
  const parts = family?.parts ?? [];
  const model = denoiser && { name, denoiser, networks, sources, parts, options: {} };
  const missing = model ? parts.filter((need) => !findPart(model, need)) : [];
  const facts = model && family ? await readFacts(family, model).catch(toProblem) : undefined;
  const unfit = facts instanceof ImageForgeError ? facts : undefined;
  const whole = denoiser && missing.length === 0 && !unfit;
  const plan = whole ? await planWhole(path).catch(toProblem) : undefined;
  const problem = unfit ?? (plan instanceof ImageForgeError ? plan : undefined);
  const sizes = networks.map(({ tensors }) => totalInMemory(tensors));
  return {
    ...summarise(all),
    path,
    format: files[0]!.format,
    files: files.length,
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    name,
    summary: describe(sources, networks, family?.title, missing, problem),
    ...(family && { family: family.id }),
    networks: networks.map(({ kind, layout, tensors }) => ({ kind, layout, ...summarise(tensors) })),
    missing: denoiser
      ? missing.map((need) => ({ part: need.part, what: need.what, bring: howToBring(need, denoiser) }))
      : [],
    ...(facts && !unfit && { sampling: describeFacts(facts as SamplingFacts) }),
    ...(problem && { problem: problem.toJSON() }),
    memory: { weights: sizes.reduce((sum, bytes) => sum + bytes, 0), largest: Math.max(0, ...sizes) },
    ...(plan && !problem && { plan: plan as ModelPlan }),
  };
}

/** Refuses first what planModel refuses of the denoiser alone, whichever parts are missing. */
async function readFacts(family: Family, model: FoundModel): Promise<SamplingFacts | undefined> {
  family.requireTask?.(model.denoiser);
  return family.readSampling?.(model);
}

function describeFacts({
  prediction,
  noise,
  told,
  notes,
}: SamplingFacts): NonNullable<Inspection['sampling']> {
  return { prediction, noise: describeNoise(noise), told, notes };
}

async function planWhole(path: string): Promise<ModelPlan> {
  const plan = await planModel({ model: path });
  await requireTokenizers(plan);
  return plan;
}

function toProblem(error: unknown): ImageForgeError {
  if (error instanceof ImageForgeError) return error;
  throw error;
}

function summarise(tensors: Tensors): Pick<InspectedNetwork, 'tensors' | 'parameters' | 'bytes' | 'types'> {
  const types = new Map<string, TypeUse>();
  let parameters = 0;
  let bytes = 0;
  for (const view of tensors.values()) {
    const type = view.storage ?? view.type;
    const use = types.get(type) ?? { type, tensors: 0, bytes: 0 };
    use.tensors++;
    use.bytes += view.bytes;
    types.set(type, use);
    parameters += view.shape.reduce((product, size) => product * size, 1);
    bytes += view.bytes;
  }
  const byBytes = [...types.values()].sort((a, b) => b.bytes - a.bytes);
  return { tensors: tensors.size, parameters, bytes, types: byBytes };
}

function describe(
  sources: readonly WeightSource[],
  networks: readonly FoundNetwork[],
  title: string | undefined,
  missing: readonly PartNeed[],
  problem: ImageForgeError | undefined,
): string {
  if (problem) return problem.message;
  if (title && missing.length > 0) return `${title}, without ${missing.map(({ what }) => what).join(', ')}`;
  if (title) return `${title}, complete`;
  const upscaler = networks.find(({ kind }) => hasKind(upscalers, kind));
  if (upscaler) return ofKind(upscalers, upscaler.kind).read(upscaler.tensors, upscaler.source.label).summary;
  const tiny = networks.find(({ kind }) => isTiny(kind));
  if (tiny) return describeTinyAutoencoder(tiny);
  const control = networks.find(({ kind }) => hasKind(controlNets, kind));
  if (control) return `ControlNet for ${nameControlNetFamily(control.tensors)}`;
  const { tensors } = sources[0]!;
  if (networks.length === 0 && isLora(tensors)) return describeLora(tensors);
  const embedding = networks.length === 0 ? findVectors(tensors) : undefined;
  if (embedding) {
    const sizes = embedding.found.map(({ name, view }) => `${name} [${view.shape}]`);
    return `embedding (textual inversion): ${sizes.join(', ')}`;
  }
  return `no denoiser; ${describeNetworks(networks)}`;
}
