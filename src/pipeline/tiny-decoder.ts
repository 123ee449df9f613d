// Decodes latents with a tiny autoencoder. It was trained to imitate the large one and takes a hundredth of its work, so it
// draws previews that look like the result, and fast final pictures. It is loaded for each run: it has a few megabytes.
import type { ModelPlan, NetworkPlan } from '../families/types.js';
import type { Autoencoder, Engine, Pixels, Tensor } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';
import { normaliseLatents } from './normalised-autoencoder.js';

/** Cells of a preview's longer side. Larger latents are shrunk first, so that no preview takes as long as a step. */
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

  /** `channels` are those of a latent; `warn` is told why previews stop. */
  static async open(
    engine: Engine,
    plan: NetworkPlan,
    { channels, statistics }: Pick<ModelPlan['latent'], 'channels' | 'statistics'>,
    warn: (message: string) => void,
  ): Promise<TinyDecoder> {
    const autoencoder = await engine.loadAutoencoder(plan.kind, plan.config, plan.weights);
    return new TinyDecoder(normaliseLatents(autoencoder, plan, statistics), plan, channels, warn);
  }

  /** Draws a small picture of a denoised latent; undefined once one has failed, since a failed preview must not end a run. */
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

/**
 * Shrinks a latent to at most `most` cells on its longer side by averaging the smallest square blocks that do so. An
 * incomplete block at the edge is left out.
 */
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
