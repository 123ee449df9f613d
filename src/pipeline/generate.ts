// From a request to pictures, as numbered steps. Runs inside the engine's host: latents never leave it.
import type { Conditioning, Pixels, Tensor } from '../native/addon.js';
import { addNoise, createNoise, findSampler, findSchedule } from '../sampling/index.js';
import { throwIfAborted, withAbort } from './abort.js';
import { requirePicture } from './check.js';
import { createDenoise } from './denoise.js';
import { encodePicture, takeTail } from './img2img.js';
import { blend, holdOutside, makeMaskChannels, pasteBack, shrinkMask } from './inpaint.js';
import type { LoadedModel } from './loaded-model.js';
import { PhaseClock } from './phase-clock.js';
import { renderPreview } from './preview.js';
import { decodeLatent } from './tiling.js';
import type { PipelineRequest, PipelineResult, RunOptions } from './types.js';

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
  return withAbort(model.engine, options.signal, () => run(model, request, options));
}

async function run(
  model: LoadedModel,
  request: PipelineRequest,
  { signal, onProgress, onStep, onLatent }: RunOptions & Inspection,
): Promise<PipelineResult> {
  const { plan, runtime } = model;
  const { width, height, batch, init, mask } = request;
  const { channels, factor } = plan.latent;
  const shape = [channels, height / factor, width / factor];
  const clock = new PhaseClock(onProgress);
  // 1. The networks, as many as fit beside each other, with the low-rank updates on them
  clock.enter('load');
  await model.useLoras(request.loras ?? []);
  await model.load(signal);

  // 2. Prompts -> text states, remembered from an earlier request where they are the same
  clock.enter('encode');
  const { prompt, negativePrompt, guidance, clipSkip } = request;
  const prompts = await model.encodePrompts(
    { prompt, negativePrompt, guidance, clipSkip, width, height },
    signal,
  );

  // 3. The schedule; over a picture only its tail runs
  const levels = runtime.noiseLevels(plan, request);
  const { entry: sampler } = findSampler(request.sampler);
  const whole = findSchedule(request.schedule, levels.kind).schedule(request.steps, levels);
  const sigmas = init ? takeTail(whole, request.strength) : whole;
  const steps = sigmas.length - 1;

  // 4. The picture and its mask -> latents
  const colours = request.previewEvery > 0 ? await model.latentColours(signal) : undefined;
  let source: Float32Array | undefined;
  let maskChannels: Tensor | undefined;
  if (init || plan.inpaint) {
    throwIfAborted(signal);
    const autoencoder = await model.loadAutoencoder(signal);
    if (init) source = await encodePicture(autoencoder, init);
    if (plan.inpaint) maskChannels = await makeMaskChannels(autoencoder, width, height, factor, init, mask);
  }
  const cells = mask && !plan.inpaint ? shrinkMask(mask, width, height, factor) : undefined;

  // 5. Conditioning goes to the device once
  const denoiser = await model.loadDenoiser(signal);
  const conditionings: Conditioning[] = [];
  const latents: Float32Array[] = [];
  try {
    for (const inputs of [prompts.positive, ...(prompts.negative ? [prompts.negative] : [])]) {
      throwIfAborted(signal);
      conditionings.push(
        await denoiser.condition({ ...inputs, ...(maskChannels && { concat: maskChannels }) }),
      );
    }

    // 6. Each picture of the batch: its noise, then the sampler
    for (let image = 0; image < batch; image++) {
      clock.enter('denoise', image, steps);
      const draw = createNoise(request.noise, request.seed + image);
      const length = shape.reduce((product, n) => product * n, 1);
      const noise = draw(length);
      const start = steps > 0 ? addNoise(source, noise, sigmas[0]!, levels.kind) : source!;
      const plain = createDenoise({ denoiser, conditionings, guidance, shape, plan, levels, signal });
      const held = cells &&
        source && {
          mask: cells,
          latent: source,
          noisy: (sigma: number) => addNoise(source, noise, sigma, levels.kind),
        };

      const latent = await sampler.sampler(held ? holdOutside(plain, held) : plain, start, sigmas, {
        noise: () => draw(length),
        kind: levels.kind,
        onStep: (step, x, denoised) => {
          onStep?.(image, x, denoised);
          const due = colours && (step + 1) % request.previewEvery === 0;
          clock.step(due ? renderPreview(denoised, shape[1]!, shape[2]!, colours) : undefined);
        },
      });
      latents.push(held ? blend(latent, held.latent, held.mask) : latent);
      onLatent?.(image, latents[image]!);
    }
  } finally {
    for (const conditioning of conditionings) conditioning.close();
  }

  // 7. Latents -> pixels; what was not to be repainted comes from the picture itself
  const images: { pixels: Pixels; seed: number }[] = [];
  for (const [image, data] of latents.entries()) {
    clock.enter('decode', image);
    const autoencoder = await model.loadAutoencoder(signal);
    const decoded = await decodeLatent(autoencoder, { data, shape }, signal);
    requirePicture(decoded);
    const pixels = init && mask ? pasteBack(decoded, init, mask) : decoded;
    images.push({ pixels, seed: request.seed + image });
  }
  return { images, seconds: clock.finish(), family: plan.family };
}
