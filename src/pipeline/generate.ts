// From a request to pictures, as numbered steps. Runs inside the engine's host: latents never leave it.
import type { EncodedPrompts } from '../families/runtime.js';
import type { Conditioning, ConditioningInputs, Pixels, Tensor } from '../native/addon.js';
import {
  addNoise,
  createNoise,
  type Denoise,
  findSampler,
  findSchedule,
  type NoiseLevels,
} from '../sampling/index.js';
import { throwIfAborted, withAbort } from './abort.js';
import { requirePicture } from './check.js';
import { findActiveLevels, type Steering } from './control.js';
import { createDenoise } from './denoise.js';
import { countScheduleSteps, enlargeLatent, takeSecondPass } from './hires.js';
import { encodePicture, encodePictures, takeTail } from './img2img.js';
import { blend, holdOutside, makeMaskChannels, pasteBack, shrinkMask } from './inpaint.js';
import type { LoadedModel } from './loaded-model.js';
import { PhaseClock } from './phase-clock.js';
import type { LatentColours } from './preview.js';
import { decodeLatent } from './tiling.js';
import type { TinyDecoder } from './tiny-decoder.js';
import type { PipelineRequest, PipelineResult, RunOptions } from './types.js';
import { upscalePictures } from './upscale.js';

/** What tests look at on the way. */
export interface Inspection {
  onStep?: (image: number, x: Float32Array, denoised: Float32Array) => void;
  onLatent?: (image: number, latent: Float32Array) => void;
}

/**
 * @throws ImageForgeError ABORTED when the signal fires, BAD_IMAGE when the network gives no picture, INVALID_ARGUMENT
 *   for what only the model can refuse, OUT_OF_MEMORY and other codes of the native engine.
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
  const { prompt, negativePrompt, guidance, clipSkip, width, height, init, mask, hires, upscaler } = request;
  const clock = new PhaseClock(onProgress);

  // 1. The networks that stay in memory, with the low-rank updates on them
  clock.enter('load');
  await model.useLoras(request.loras ?? []);
  const { control } = request;
  await model.useControlNet(control && control.strength > 0 ? control.path : undefined);
  const fast = request.tiny?.final ? tiny : undefined;
  await model.load({ ...request, ...hires, decoder: fast?.plan }, signal);

  // 2. Prompts -> text states, remembered from an earlier request where they are the same
  clock.enter('encode');
  const { embeddings } = request;
  const words = { prompt, negativePrompt, guidance, clipSkip, ...(embeddings && { embeddings }) };
  const encode = (size: Size) => model.encodePrompts({ ...words, ...size }, signal);
  const prompts = await encode({ width, height });
  const largePrompts =
    hires && runtime.readsSize ? await encode({ width: hires.width, height: hires.height }) : prompts;
  await model.finish('textEncoders');

  // 3. The picture and its mask -> latents
  const source = await encodeSource(model, request, signal);
  const colours = request.previewEvery > 0 && !tiny ? await model.latentColours(signal) : undefined;
  await model.finish('autoencoder');

  // 4. The schedule; over a picture only its tail runs
  const levels = runtime.noiseLevels(plan, request);
  const whole = findSchedule(request.schedule, levels.kind).schedule(request.steps, levels);
  const sigmas = init ? takeTail(whole, request.strength) : whole;

  // 5. Noise -> latents, one picture after the other under the same conditioning
  const seen = { previews: tiny ?? colours, controlImage: control?.image };
  const sampling = { model, request, ...seen, clock, signal, ...inspection };
  const starts = Array.from({ length: request.batch }, () => source.latent);
  let latents = await sampleBatch({ ...sampling, prompts, source, levels, sigmas, width, height, starts });
  if (hires?.upscaler !== 'latent') await model.finish('denoiser');

  // 6. The same once more over the enlarged latents, where that was asked for
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
    const largeSource = plan.inpaint ? await encodeSource(model, { ...request, ...size }, signal) : source;
    await model.finish('autoencoder');
    latents = await sampleBatch({
      ...{ ...sampling, ...size, levels, sigmas, controlImage },
      ...{ prompts: largePrompts, source: largeSource, starts: enlarged },
    });
  }
  await model.finish('denoiser');

  // 7. Latents -> pixels; what was not to be repainted comes from the picture itself
  const images: { pixels: Pixels; seed: number }[] = [];
  for (const [image, latent] of latents.entries()) {
    clock.enter('decode', image);
    const autoencoder = fast?.autoencoder ?? (await model.loadAutoencoder(signal));
    const decoded = await decodeLatent(autoencoder, latent, signal);
    requirePicture(decoded);
    colours?.learn(latent.data, decoded);
    const pixels = init && mask ? pasteBack(decoded, init, mask) : decoded;
    images.push({ pixels, seed: request.seed + image });
  }
  await model.finish('autoencoder');

  // 8. Larger pictures, where that was asked for
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
  return { images, seconds: clock.finish(), family: plan.family, notes: model.notes };
}

/** What a run starts from, besides noise. */
interface Source {
  /** Latent of the initial picture. */
  latent?: Float32Array;
  /** Mask in latent cells, for networks that don't take one. */
  mask?: Float32Array;
  /** Mask and masked picture, for networks that do. */
  concat?: Tensor;
  /** Latents of reference pictures. */
  references?: Tensor[];
}

async function encodeSource(
  model: LoadedModel,
  { init, mask, references, width, height }: PipelineRequest,
  signal: AbortSignal | undefined,
): Promise<Source> {
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
  prompts: EncodedPrompts;
  source: Source;
  /** What the ControlNet looks at, at the pictures' size. */
  controlImage: Pixels | undefined;
  /** By picture: the latent that it begins from, besides noise. */
  starts: readonly (Float32Array | undefined)[];
  levels: NoiseLevels;
  sigmas: Float32Array;
  previews: LatentColours | TinyDecoder | undefined;
  clock: PhaseClock;
  signal: AbortSignal | undefined;
}

async function sampleBatch(sampling: Sampling): Promise<Tensor[]> {
  const { model, request, prompts, source, levels, signal } = sampling;
  const { channels, factor } = model.plan.latent;
  const shape = [channels, sampling.height / factor, sampling.width / factor];
  const denoiser = await model.loadDenoiser(signal);
  const conditionings: Conditioning[] = [];
  const inputsOf = [prompts.positive, ...(prompts.negative ? [prompts.negative] : [])];
  let steering: Steering | undefined;
  try {
    for (const inputs of inputsOf) {
      throwIfAborted(signal);
      const { concat, references } = source;
      const pictures = { ...(concat && { concat }), ...(references && { references }) };
      conditionings.push(await denoiser.condition({ ...inputs, ...pictures }));
    }
    steering = await startSteering(sampling, inputsOf);
    const { guidance, batch } = request;
    const { prediction = model.plan.prediction } = request;
    const network = { denoiser, conditionings, steering, shape, prediction, levels };
    const denoise = createDenoise({ ...network, guidance, signal });
    const latents: Tensor[] = [];
    for (let image = 0; image < batch; image++)
      latents.push({ data: await sample(denoise, image, shape, sampling), shape });
    return latents;
  } finally {
    for (const conditioning of [...conditionings, ...(steering?.conditionings ?? [])]) conditioning.close();
  }
}

/** Lets the ControlNet read picture and prompts; undefined where there is none or it has no step to steer. */
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
  image: number,
  [channels, rows, columns]: number[],
  { request, source, starts, levels, sigmas, previews, clock, onStep, onLatent }: Sampling,
): Promise<Float32Array> {
  clock.enter('denoise', image, sigmas.length - 1);
  const draw = createNoise(request.noise, request.seed + image);
  const length = channels! * rows! * columns!;
  const noise = draw(length);
  const start = starts[image];
  const noisy = (sigma: number) => addNoise(start, noise, sigma, levels.kind);
  const held = source.mask && start && { mask: source.mask, latent: start, noisy };

  const { sampler } = findSampler(request.sampler).entry;
  const sampled = await sampler(held ? holdOutside(denoise, held) : denoise, noisy(sigmas[0]!), sigmas, {
    noise: () => draw(length),
    kind: levels.kind,
    onStep: async (step, x, denoised) => {
      onStep?.(image, x, denoised);
      const due = previews && (step + 1) % request.previewEvery === 0;
      clock.step(due ? await previews.render(denoised, rows!, columns!) : undefined);
    },
  });
  const latent = held ? blend(sampled, held.latent, held.mask) : sampled;
  onLatent?.(image, latent);
  return latent;
}
