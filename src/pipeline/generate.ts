// Turns a request into pictures, in numbered steps. Runs inside the engine's host, so that latents never leave it.
import { findFamily } from '../families/index.js';
import type { EncodedTexts } from '../families/runtime.js';
import type { ConditioningInputs, Pixels, Tensor } from '../native/addon.js';
import {
  addNoise,
  createNoise,
  type Denoise,
  findSampler,
  findSchedule,
  type NoiseLevels,
} from '../sampling/index.js';
import { type Seed, seedOf } from '../shared/seed.js';
import { throwIfAborted, withAbort } from './abort.js';
import { requirePicture } from './check.js';
import { ConditioningSet } from './conditionings.js';
import { findActiveLevels, type Steering } from './control.js';
import { createDenoise } from './denoise.js';
import { countScheduleSteps, enlargeLatent, takeSecondPass } from './hires.js';
import { encodePicture, encodePictures, takeTail } from './img2img.js';
import { blend, holdOutside, makeMaskChannels, pasteBack, shrinkMask } from './inpaint.js';
import type { LoadedModel } from './loaded-model.js';
import { PhaseClock } from './phase-clock.js';
import type { LatentColours } from './preview.js';
import { describeSampling } from './sampling-notes.js';
import { type TextSchedule, takeApart } from './text-schedule.js';
import { decodeLatent } from './tiling.js';
import type { TinyDecoder } from './tiny-decoder.js';
import type { PipelineRequest, PipelineResult, RunOptions } from './types.js';
import { upscalePictures } from './upscale.js';

/** Lets tests look at the latents on the way. */
export interface Inspection {
  onStep?: (image: number, x: Float32Array, denoised: Float32Array) => void;
  onLatent?: (image: number, latent: Float32Array) => void;
}

/**
 * @throws ImageForgeError ABORTED when the signal fires, BAD_IMAGE when the network's output is no picture,
 *   INVALID_ARGUMENT for what only the model can refuse, OUT_OF_MEMORY and other codes of the native engine.
 */
export function generate(
  model: LoadedModel,
  request: PipelineRequest,
  options: RunOptions & Inspection = {},
): Promise<PipelineResult> {
  return withAbort(model.engine, options.signal, async () => {
    const tiny = await model.openTinyDecoder(request);
    try {
      return await run(model, request, tiny, options);
    } finally {
      await tiny?.close();
    }
  });
}

async function run(
  model: LoadedModel,
  request: PipelineRequest,
  tiny: TinyDecoder | undefined,
  { signal, onProgress, ...inspection }: RunOptions & Inspection,
): Promise<PipelineResult> {
  const { plan, runtime } = model;
  const { width, height, init, mask, hires, upscaler } = request;
  const clock = new PhaseClock(onProgress);

  // 1. Load the networks that stay in memory, and apply the LoRAs to them
  clock.enter('load');
  await model.useLoras(request.loras ?? []);
  const { control } = request;
  await model.useControlNet(control && control.strength > 0 ? control.path : undefined);
  const fast = request.tiny?.final ? tiny : undefined;
  await model.load({ ...request, ...hires, decoder: fast?.plan }, signal);

  // 2. Prompts -> conditioning; an earlier request's is used again where the prompts are the same
  clock.enter('encode');
  const prompts = takeApart(request, runtime);
  const texts = await model.encodeTexts({ ...prompts.texts, width, height }, signal);
  const largeTexts =
    hires && runtime.readsSize
      ? await model.encodeTexts({ ...prompts.texts, width: hires.width, height: hires.height }, signal)
      : texts;
  await model.finish('textEncoders');

  // 3. Initial picture, mask and references -> latents
  const given = await encodeGiven(model, request, signal);
  const colours = request.previewEvery > 0 && !tiny ? await model.latentColours(signal) : undefined;
  await model.finish('autoencoder');

  // 4. The schedule of sigmas; with an initial picture only its tail runs
  const levels = runtime.noiseLevels(plan, request);
  const whole = findSchedule(request.schedule, levels.kind).schedule(request.steps, levels);
  const sigmas = init ? takeTail(whole, request.strength) : whole;

  clock.expect([sigmas.length - 1, ...(hires ? [hires.steps] : [])].map((steps) => steps * request.batch));

  // 5. Noise -> latents, one picture after the other, each step with its own conditioning
  const seen = { previews: tiny ?? colours, controlImage: control?.image };
  const sampling = { model, request, ...seen, clock, signal, ...inspection };
  const starts = Array.from({ length: request.batch }, () => given.latent);
  const first = { texts, schedules: prompts.first };
  let latents = await sampleBatch({ ...sampling, ...first, given, levels, sigmas, width, height, starts });
  if (hires?.upscaler !== 'latent') await model.finish('denoiser');

  // 6. The second pass over the enlarged latents, if one was asked for
  if (hires) {
    const enlarged: Float32Array[] = [];
    for (const [image, latent] of latents.entries()) {
      clock.enter(hires.upscaler === 'pixel' ? 'decode' : 'encode', image);
      enlarged.push(await enlargeLatent(model, latent, hires, signal));
    }
    const size = { width: hires.width, height: hires.height };
    const controlImage = control?.hiresImage;
    const steps = countScheduleSteps(hires);
    const levels = runtime.noiseLevels(plan, { ...size, steps });
    const sigmas = takeSecondPass(findSchedule(request.schedule, levels.kind).schedule(steps, levels), hires);
    const largeGiven = plan.inpaint ? await encodeGiven(model, { ...request, ...size }, signal) : given;
    await model.finish('autoencoder');
    clock.nextPass();
    latents = await sampleBatch({
      ...sampling,
      ...size,
      levels,
      sigmas,
      controlImage,
      texts: largeTexts,
      schedules: prompts.second,
      given: largeGiven,
      starts: enlarged,
    });
  }
  await model.finish('denoiser');

  // 7. Latents -> pixels; outside the mask the pixels of the initial picture stay as they are
  const images: { pixels: Pixels; seed: Seed }[] = [];
  for (const [image, latent] of latents.entries()) {
    clock.enter('decode', image);
    const autoencoder = fast?.autoencoder ?? (await model.loadAutoencoder(signal));
    const decoded = await decodeLatent(autoencoder, latent, signal);
    requirePicture(decoded);
    colours?.learn(latent.data, decoded);
    const pixels = init && mask ? pasteBack(decoded, init, mask) : decoded;
    images.push({ pixels, seed: seedOf(request.seed, image) });
  }
  await model.finish('autoencoder');

  // 8. Upscaled pictures, if they were asked for
  if (upscaler) {
    clock.enter('upscale');
    const pictures = images.map(({ pixels }) => pixels);
    const larger = await upscalePictures(model.engine, upscaler.path, pictures, {
      signal,
      onTile: (image, done, tiles) =>
        done === 0 ? clock.enter('upscale', image, tiles) : clock.step(undefined),
    });
    for (const [i, pixels] of larger.entries()) images[i]!.pixels = pixels;
  }
  const { title } = findFamily(plan.family);
  const notes = [
    ...model.notes,
    ...describeSampling(plan, request, texts.negatives.length > 0),
    ...prompts.describe(title),
    ...new Set(texts.notes),
  ];
  return { images, seconds: clock.finish(), family: plan.family, notes };
}

/** The request's pictures as the denoiser takes them. */
interface GivenLatents {
  /** Latent of the initial picture. */
  latent?: Float32Array;
  /** The mask in latent cells, for networks that have no input for it. */
  mask?: Float32Array;
  /** Mask and masked picture as extra channels, for networks that have an input for them. */
  concat?: Tensor;
  /** Latents of the reference pictures. */
  references?: Tensor[];
}

async function encodeGiven(
  model: LoadedModel,
  { init, mask, references, width, height }: PipelineRequest,
  signal: AbortSignal | undefined,
): Promise<GivenLatents> {
  const { inpaint, latent } = model.plan;
  if (!init && !inpaint && !references) return {};
  const autoencoder = await model.loadAutoencoder(signal);
  throwIfAborted(signal);
  return {
    ...(init && { latent: (await encodePicture(autoencoder, init)).data }),
    ...(inpaint && { concat: await makeMaskChannels(autoencoder, width, height, latent.factor, init, mask) }),
    ...(mask && !inpaint && { mask: shrinkMask(mask, width, height, latent.factor) }),
    ...(references && { references: await encodePictures(autoencoder, references, signal) }),
  };
}

interface Size {
  width: number;
  height: number;
}

interface Sampling extends Inspection, Size {
  model: LoadedModel;
  request: PipelineRequest;
  texts: EncodedTexts;
  /** For each picture of the batch which of the texts condition which step. */
  schedules: readonly TextSchedule[];
  given: GivenLatents;
  /** What the ControlNet looks at, at the size of this pass. */
  controlImage: Pixels | undefined;
  /** For each picture of the batch the latent it starts from, besides noise. */
  starts: readonly (Float32Array | undefined)[];
  levels: NoiseLevels;
  sigmas: Float32Array;
  previews: LatentColours | TinyDecoder | undefined;
  clock: PhaseClock;
  signal: AbortSignal | undefined;
}

async function sampleBatch(sampling: Sampling): Promise<Tensor[]> {
  const { model, request, texts, schedules, given, levels, signal } = sampling;
  const { channels, factor } = model.plan.latent;
  const shape = [channels, sampling.height / factor, sampling.width / factor];
  const denoiser = await model.loadDenoiser(signal);
  const conditionings = new ConditioningSet(texts, schedules);
  try {
    for (const inputs of conditionings.inputs) {
      throwIfAborted(signal);
      const { concat, references } = given;
      const pictures = { ...(concat && { concat }), ...(references && { references }) };
      conditionings.add(await denoiser.condition({ ...inputs, ...pictures }));
    }
    conditionings.steering = await startSteering(sampling, [...conditionings.inputs]);
    const { batch, guidanceRescale } = request;
    const guidance = request.guidance || 1; // where prompts are combined, 0 is no guidance as well
    const { prediction = model.plan.prediction } = request;
    const position = { image: 0, step: 0 };
    const active = () => conditionings.at(position.image, position.step);
    const network = { denoiser, active, shape, prediction, levels };
    const denoise = createDenoise({ ...network, guidance, guidanceRescale, signal });
    const latents: Tensor[] = [];
    for (let image = 0; image < batch; image++) {
      Object.assign(position, { image, step: 0 });
      latents.push({ data: await sample(denoise, position, shape, sampling), shape });
    }
    return latents;
  } finally {
    conditionings.close();
  }
}

/** Gives the ControlNet its picture and the prompts; undefined without a ControlNet, or without a step for it to steer. */
async function startSteering(
  { model, request: { control }, controlImage, sigmas, signal }: Sampling,
  prompts: ConditioningInputs[],
): Promise<Steering | undefined> {
  const isActive = control && findActiveLevels(sigmas, control);
  if (!isActive || !controlImage) return undefined;
  throwIfAborted(signal);
  const net = await model.loadControlNet(signal);
  const conditionings = await net.condition(controlImage, prompts);
  return { net, conditionings, strength: control.strength, isActive };
}

async function sample(
  denoise: Denoise,
  position: { readonly image: number; step: number },
  [channels, rows, columns]: number[],
  { request, given, starts, levels, sigmas, previews, clock, onStep, onLatent }: Sampling,
): Promise<Float32Array> {
  const { image } = position;
  clock.enter('denoise', image, sigmas.length - 1);
  const draw = createNoise(request.noise, seedOf(request.seed, image));
  const length = channels! * rows! * columns!;
  const noise = draw(length);
  const start = starts[image];
  const noisy = (sigma: number) => addNoise(start, noise, sigma, levels.kind);
  const held = given.mask && start && { mask: given.mask, latent: start, noisy };

  const { sampler } = findSampler(request.sampler).entry;
  const sampled = await sampler(held ? holdOutside(denoise, held) : denoise, noisy(sigmas[0]!), sigmas, {
    noise: () => draw(length),
    kind: levels.kind,
    onStep: async (step, x, denoised) => {
      position.step = step + 1;
      onStep?.(image, x, denoised);
      const due = previews && (step + 1) % request.previewEvery === 0;
      clock.step(due ? await previews.render(denoised, rows!, columns!) : undefined);
    },
  });
  const latent = held ? blend(sampled, held.latent, held.mask) : sampled;
  onLatent?.(image, latent);
  return latent;
}
