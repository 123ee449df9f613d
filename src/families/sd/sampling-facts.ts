// How a Stable Diffusion model is sampled: what its UNet predicts and which noise it was trained on. Shapes do not tell;
// files sometimes do. Where they contradict themselves, the first of this order counts, and a note names the others: the
// caller, ImageForge's own metadata, marker tensors, other metadata, the diffusers scheduler, the name of the
// architecture, and last SD 2.x's own sign.
import { dirname, join } from 'node:path';
import {
  type EdmNoise,
  sigmasOf,
  stableDiffusionNoise,
  type TrainedNoise,
} from '../../sampling/trained-noise.js';
import type { Prediction } from '../../sampling/types.js';
import { ImageForgeError } from '../../shared/errors.js';
import { readFloats } from '../../weights/read-floats.js';
import type { FoundModel } from '../family.js';
import type { WeightSource } from '../sources.js';
import type { Speed } from '../speed.js';
import type { Defaults, LatentStatistics, ModelPlan, SamplingFacts } from '../types.js';
import { isNo, readMarker, readMarkerValues } from './markers.js';
import { readModelSpec } from './model-spec.js';
import { readPredictionWord } from './prediction-words.js';
import { readScheduler, type SchedulerFacts, schedulerFile } from './scheduler.js';

interface Claim {
  prediction: Prediction;
  from: string;
}

/** Playground 2.5: the sigmas of EDM's own models, with latents scaled to its sigma_data. */
const edmNoise: EdmNoise = { kind: 'edm', min: 0.002, max: 80, data: 0.5 };
/** CosXL, where its file leaves an end open. */
const edmVelocityNoise: EdmNoise = { kind: 'edm', min: 0.002, max: 120, data: 1 };

export async function readSamplingFacts(
  model: FoundModel,
  family: 'sd1' | 'sd2' | 'sdxl',
): Promise<SamplingFacts> {
  const { source, tensors } = model.denoiser;
  const notes: string[] = [];
  const channels = tensors.get('out.2.weight')?.shape[0] ?? 4;
  const edm = await readEdmMarkers(source, channels, notes);
  const scheduler = readScheduler(source);
  notes.push(...(scheduler?.notes ?? []));

  const claims = await findClaims(model, family, edm, scheduler);
  if (claims.length === 0 && family === 'sd2') {
    const prediction = await readSd2Sign(model);
    if (prediction)
      claims.push({ prediction, from: 'the spread of its last norm, as published SD 2.x models have it' });
  }
  const chosen = claims[0] ?? { prediction: 'eps', from: 'nothing in its files, so as usual' };
  for (const other of claims.slice(1))
    if (other.prediction !== chosen.prediction)
      notes.push(
        `The network is taken to predict ${chosen.prediction} by ${chosen.from}; ${other.from} says ${other.prediction} and is set aside.`,
      );

  const { noise, from } = await chooseNoise(source, chosen, edm, scheduler, notes);
  const statistics = edm?.statistics ?? readVaeStatistics(model);
  const spec = readModelSpec(source, family);
  notes.push(...spec.notes);
  return {
    prediction: chosen.prediction,
    noise,
    told: { prediction: chosen.from, noise: from },
    defaults: { ...chooseDefaults(noise, chosen.prediction, scheduler), ...spec.defaults },
    ...(statistics && { statistics }),
    notes,
  };
}

/** The family's defaults for this speed, with what noise and files suggest; distilled models keep their few steps. */
export function suitDefaults(usual: Defaults, speed: Speed, { defaults }: SamplingFacts): Defaults {
  if (speed === 'full') return { ...usual, ...defaults };
  const { width, height, clipSkip } = defaults;
  return {
    ...usual,
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    ...(clipSkip !== undefined && { clipSkip }),
  };
}

/** What a plan carries of the facts. */
export function toPlan(
  { prediction, noise, told, notes }: SamplingFacts,
  { config, label }: WeightSource,
): Pick<ModelPlan, 'prediction' | 'noise' | 'told' | 'notes' | 'configFiles'> {
  const configFiles = config?.scheduler ? [join(dirname(label), schedulerFile)] : [];
  return { prediction, noise, told, notes, configFiles };
}

export function toLatent(
  { statistics }: SamplingFacts,
  familyScale: number,
): Pick<ModelPlan['latent'], 'statistics'> {
  return statistics ? { statistics: { ...statistics, familyScale } } : {};
}

interface EdmMarkers {
  claim: Claim;
  noise: EdmNoise;
  statistics?: LatentStatistics;
}

/** Playground's statistics of latents, or CosXL's range of sigmas. Both together would be a contradiction. */
async function readEdmMarkers(
  source: WeightSource,
  channels: number,
  notes: string[],
): Promise<EdmMarkers | undefined> {
  const mean = await readMarkerValues(source, 'edm_mean', channels);
  const std = await readMarkerValues(source, 'edm_std', channels);
  const max = await readMarkerValues(source, 'edm_vpred.sigma_max', 1);
  const min = await readMarkerValues(source, 'edm_vpred.sigma_min', 1);
  if (!mean !== !std) throw alone(source, mean ? 'edm_mean' : 'edm_std', mean ? 'edm_std' : 'edm_mean');
  if (mean && std) {
    if (!std.values.every((value) => value > 0)) throw outOfRange(source, std.from, 'positive numbers');
    if (max) notes.push(`${mean.from} and ${std.from} say EDM; ${max.from} is set aside.`);
    return {
      claim: { prediction: 'edm', from: `${mean.from} and ${std.from}` },
      noise: edmNoise,
      statistics: { mean: mean.values, std: std.values, scale: edmNoise.data },
    };
  }
  if (min && !max) throw alone(source, 'edm_vpred.sigma_min', 'edm_vpred.sigma_max');
  if (!max) return undefined;
  const noise = { ...edmVelocityNoise, max: max.values[0]!, ...(min && { min: min.values[0]! }) };
  if (!(noise.min > 0 && noise.max > noise.min))
    throw outOfRange(source, max.from, `0 < sigma_min < sigma_max, found ${noise.min} and ${noise.max}`);
  return { claim: { prediction: 'v', from: max.from }, noise };
}

function alone({ label }: WeightSource, found: string, missing: string): ImageForgeError {
  return new ImageForgeError(
    'WEIGHTS_INVALID',
    `${label} has ${found} without ${missing}; models trained with EDM have both`,
    { details: { file: label, tensor: missing } },
  );
}

function outOfRange({ label }: WeightSource, from: string, expected: string): ImageForgeError {
  return new ImageForgeError('WEIGHTS_INVALID', `${label}: ${from}: expected ${expected}`, {
    details: { file: label },
  });
}

async function findClaims(
  { denoiser: { source }, options }: FoundModel,
  family: 'sd1' | 'sd2' | 'sdxl',
  edm: EdmMarkers | undefined,
  scheduler: SchedulerFacts | undefined,
): Promise<Claim[]> {
  const { label, metadata } = source;
  const claims: Claim[] = [];
  if (options.prediction === 'flow')
    throw new ImageForgeError('INVALID_ARGUMENT', 'a Stable Diffusion model predicts eps or v, not flow');
  if (options.prediction) claims.push({ prediction: options.prediction, from: 'the caller' });
  const addWord = (key: string) => {
    const word = metadata.get(key);
    if (typeof word !== 'string' || word.trim() === '') return;
    const from = `the metadata ${key}`;
    claims.push({ prediction: readPredictionWord(word, label, from), from });
  };
  addWord('imageforge.prediction');
  if (edm) claims.push(edm.claim);
  const v = await readMarker(source, 'v_pred');
  if (v) claims.push({ prediction: 'v', from: v.from });
  for (const key of ['modelspec.prediction_type', 'modelspec.predict_key', 'prediction_type']) addWord(key);
  const parametrized = metadata.get('ss_v_parameterization');
  if (parametrized !== undefined && !isNo(parametrized))
    claims.push({ prediction: 'v', from: 'the metadata ss_v_parameterization' });
  if (scheduler?.prediction) claims.push({ prediction: scheduler.prediction, from: schedulerFile });
  const architecture = metadata.get('modelspec.architecture');
  if (family === 'sd2' && typeof architecture === 'string' && /-768-v\b/.test(architecture))
    claims.push({ prediction: 'v', from: `the metadata modelspec.architecture, ${architecture},` });
  return claims;
}

async function chooseNoise(
  source: WeightSource,
  { prediction }: Claim,
  edm: EdmMarkers | undefined,
  scheduler: SchedulerFacts | undefined,
  notes: string[],
): Promise<{ noise: TrainedNoise; from: string }> {
  const zero = await findZeroTerminal(source, notes);
  const told = edm?.noise ?? (scheduler?.noise?.kind === 'edm' ? scheduler.noise : undefined);
  const noise = told ?? (prediction === 'edm' ? edmNoise : undefined);
  if (noise) {
    const from = edm?.claim.from ?? (told ? schedulerFile : 'its prediction, edm');
    if (zero) notes.push(`${zero} says nothing to the continuous noise levels of EDM and is set aside.`);
    return { noise, from };
  }
  const base = scheduler?.noise?.kind === 'betas' ? scheduler.noise : stableDiffusionNoise;
  if (zero && scheduler?.zeroTerminalSnr === false)
    notes.push(`${zero} says zero terminal SNR; rescale_betas_zero_snr in ${schedulerFile} is set aside.`);
  const from = [
    scheduler?.noise ? schedulerFile : 'nothing in its files, so as published',
    ...(zero ? [zero] : []),
  ];
  const zeroTerminalSnr = zero !== undefined || scheduler?.zeroTerminalSnr === true;
  return { noise: { ...base, zeroTerminalSnr }, from: from.join(' and ') };
}

/** Who says zero terminal SNR, besides a scheduler. */
async function findZeroTerminal(source: WeightSource, notes: string[]): Promise<string | undefined> {
  const marker = await readMarker(source, 'ztsnr');
  if (marker) return marker.from;
  for (const key of ['zero_terminal_snr', 'rescale_betas_zero_snr', 'ss_zero_terminal_snr']) {
    const value = source.metadata.get(key);
    if (value !== undefined && !isNo(value)) return `the metadata ${key}`;
  }
  return readTrainersTable(source, notes);
}

/** Checkpoints may carry the trainer's own table of ᾱ, often rounded to F16. */
async function readTrainersTable({ tensors }: WeightSource, notes: string[]): Promise<string | undefined> {
  const view = tensors.get('alphas_cumprod');
  const last = view && (await readFloats(view)).at(-1);
  if (last === undefined || !Number.isFinite(last)) return undefined;
  if (last < 1e-5) return 'the tensor alphas_cumprod';
  const published = 1 / (sigmasOf(stableDiffusionNoise).at(-1)! ** 2 + 1);
  if (Math.abs(last - published) > 0.02 * published)
    notes.push(
      `The tensor alphas_cumprod ends at ${last}, and published models at ${published.toFixed(6)}; it is set aside.`,
    );
  return undefined;
}

/** Defaults that suit the noise, where the family's do not. */
function chooseDefaults(
  noise: TrainedNoise,
  prediction: Prediction,
  scheduler: SchedulerFacts | undefined,
): Partial<Defaults> {
  const usual: Partial<Defaults> = {};
  // Karras' schedule spends most of its steps between 4518 and 15; the paper's own is trailing
  if (noise.kind === 'betas' && noise.zeroTerminalSnr)
    Object.assign(usual, { sampler: 'euler', schedule: 'trailing', guidance: 5 });
  // as their authors' cards and examples have it
  if (noise.kind === 'edm' && prediction === 'edm') Object.assign(usual, { guidance: 3 });
  if (noise.kind === 'edm' && prediction === 'v') Object.assign(usual, { schedule: 'exponential' });
  const { sampler, schedule } = scheduler ?? {};
  return { ...usual, ...(sampler !== undefined && { sampler }), ...(schedule !== undefined && { schedule }) };
}

/** Latents of a diffusers folder whose autoencoder says how its latents are spread. */
function readVaeStatistics({ networks, denoiser }: FoundModel): LatentStatistics | undefined {
  const vae = networks.find(
    ({ kind, source }) => kind === 'autoencoder' && source.part === denoiser.source.part,
  );
  const config = vae?.source.config;
  const { latents_mean: mean, latents_std: std, scaling_factor: scale } = config ?? {};
  if (!vae || !mean || !std) return undefined;
  const channels = denoiser.tensors.get('out.2.weight')?.shape[0] ?? 4;
  const isList = (list: unknown): list is number[] =>
    Array.isArray(list) && list.length === channels && list.every((value) => Number.isFinite(value));
  if (
    !isList(mean) ||
    !isList(std) ||
    !std.every((value) => value > 0) ||
    typeof scale !== 'number' ||
    scale <= 0
  )
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `${vae.source.label}: latents_mean and latents_std in config.json should be ${channels} numbers each, beside a positive scaling_factor`,
      { details: { file: vae.source.label } },
    );
  return { mean, std, scale };
}

/**
 * The norm biases of the last transformer are spread wider in the published SD 2.x models that predict v (768) than in
 * those that predict the noise (base, inpainting, turbo); 0.09 lies between.
 */
async function readSd2Sign({ denoiser }: FoundModel): Promise<Prediction | undefined> {
  if (denoiser.tensors.get('input_blocks.0.0.weight')?.shape[1] !== 4) return 'eps';
  const last = [...denoiser.tensors.keys()]
    .filter((name) => /^output_blocks\.\d+\.1\.transformer_blocks\.0\.norm1\.bias$/.test(name))
    .sort((a, b) => Number(b.split('.')[1]) - Number(a.split('.')[1]))[0];
  const view = last === undefined ? undefined : denoiser.tensors.get(last);
  if (!view) return undefined;
  const values = await readFloats(view);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return Math.sqrt(variance) > 0.09 ? 'v' : 'eps';
}
