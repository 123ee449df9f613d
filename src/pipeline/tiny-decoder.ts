// Pictures by a tiny autoencoder, which knows what the large one makes of a latent and needs a hundredth of its work:
// previews that look like the result, and fast last decoding. Loaded for one run: its weights are a few megabytes.
import type { ModelPlan, NetworkPlan } from '../families/types.js';
import type { Autoencoder, Engine, Pixels, Tensor } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';
import { normaliseLatents } from './normalised-autoencoder.js';

/** Cells of a preview's longer side: larger latents are shrunk before, so that no preview takes as long as a step. */
const PREVIEW_CELLS = 64;

export class TinyDecoder {
  readonly autoencoder: Autoencoder;
  readonly plan: NetworkPlan;
  readonly #channels: number;
  readonly #warn: (message: string) => void;
  #previews = true;

  private constructor(
    autoencoder: Autoencoder,
    plan: NetworkPlan,
    channels: number,
    warn: (message: string) => void,
  ) {
    this.autoencoder = autoencoder;
    this.plan = plan;
    this.#channels = channels;
    this.#warn = warn;
  }

  /** `channels` of a latent; `warn` hears why there are no more previews. */
  static async open(
    engine: Engine,
    plan: NetworkPlan,
    { channels, statistics }: Pick<ModelPlan['latent'], 'channels' | 'statistics'>,
    warn: (message: string) => void,
  ): Promise<TinyDecoder> {
    const autoencoder = await engine.loadAutoencoder(plan.kind, plan.config, plan.weights);
    return new TinyDecoder(normaliseLatents(autoencoder, plan, statistics), plan, channels, warn);
  }

  /** A small picture of a denoised latent; undefined when one has failed: a run must not end for want of a preview. */
  async render(latent: Float32Array, rows: number, columns: number): Promise<Pixels | undefined> {
    if (!this.#previews) return undefined;
    try {
      const shape = [this.#channels, rows, columns];
      return await this.autoencoder.decode(shrinkLatent({ data: latent, shape }, PREVIEW_CELLS));
    } catch (error) {
      const { code, message } = ImageForgeError.from(error);
      if (code === 'ABORTED') throw error;
      this.#previews = false;
      this.#warn(`no more previews of this picture: ${message}`);
      return undefined;
    }
  }

  async close(): Promise<void> {
    await this.autoencoder.close();
  }
}

/** Means of square blocks, as small as make the longer side at most `most` cells; a rest at the edges is left out. */
export function shrinkLatent(latent: Tensor, most: number): Tensor {
  const [channels, rows, columns] = latent.shape as [number, number, number];
  const block = Math.ceil(Math.max(rows, columns) / most);
  if (block === 1) return latent;
  const [high, wide] = [Math.max(1, Math.floor(rows / block)), Math.max(1, Math.floor(columns / block))];
  const data = new Float32Array(channels * high * wide);
  const [down, across] = [Math.min(block, rows), Math.min(block, columns)];
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < high; y++)
      for (let x = 0; x < wide; x++) {
        let sum = 0;
        for (let i = 0; i < down; i++)
          for (let j = 0; j < across; j++)
            sum += latent.data[(c * rows + y * block + i) * columns + x * block + j]!;
        data[(c * high + y) * wide + x] = sum / (down * across);
      }
  return { data, shape: [channels, high, wide] };
}
