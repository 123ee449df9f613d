// Inpainting. Networks without mask channels are held to the picture in latent space; networks with them get the mask and
// the picture as input. Either way the pixels outside the mask come back untouched.
import type { Autoencoder, Pixels, Tensor } from '../native/addon.js';
import type { Denoise } from '../sampling/types.js';

/** What is kept outside the mask, at every noise level. */
export interface Held {
  /** One value for each latent cell, 1 = repaint. */
  mask: Float32Array;
  /** Latent of the picture. */
  latent: Float32Array;
  /** The latent with noise of this level. */
  noisy: (sigma: number) => Float32Array;
}

/** The mask in latent cells, 0 … 1: each cell takes the pixel at its upper left corner. */
export function shrinkMask(mask: Uint8Array, width: number, height: number, factor: number): Float32Array {
  const columns = width / factor;
  const rows = height / factor;
  const cells = new Float32Array(columns * rows);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      cells[row * columns + column] = mask[row * factor * width + column * factor]! / 255;
  return cells;
}

/** Wraps a denoiser so that it sees the picture outside the mask and changes only what is inside. */
export function holdOutside(denoise: Denoise, held: Held): Denoise {
  return async (x, sigma) => {
    const denoised = await denoise(blend(x, held.noisy(sigma), held.mask), sigma);
    return blend(denoised, held.latent, held.mask);
  };
}

/** inside * mask + outside * (1 - mask) in every channel. */
export function blend(inside: Float32Array, outside: Float32Array, mask: Float32Array): Float32Array {
  return inside.map((value, i) => {
    const share = mask[i % mask.length]!;
    return value * share + outside[i]! * (1 - share);
  });
}

/**
 * Extra channels of inpainting networks, [1 + channels, h, w]: the mask, then the latent of the picture with the masked
 * part hidden. Without a mask everything is repainted; without a picture everything counts as masked.
 */
export async function makeMaskChannels(
  autoencoder: Autoencoder,
  width: number,
  height: number,
  factor: number,
  picture: Pixels | undefined,
  mask: Uint8Array | undefined,
): Promise<Tensor> {
  const pixels = width * height;
  const masked = new Float32Array(3 * pixels); // grey, 0 in [-1, 1], hides what is to be repainted
  if (picture && mask)
    for (let i = 0; i < pixels; i++)
      if (mask[i]! < 128)
        for (let c = 0; c < 3; c++) masked[c * pixels + i] = picture.rgb[i * 3 + c]! / 127.5 - 1;
  const { mean } = await autoencoder.encode({ data: masked, shape: [3, height, width] });
  const [channels, h, w] = mean.shape as [number, number, number];
  const data = new Float32Array((1 + channels) * h * w);
  data.set(mask ? shrinkMask(mask, width, height, factor).map(Math.round) : new Float32Array(h * w).fill(1));
  data.set(mean.data, h * w);
  return { data, shape: [1 + channels, h, w] };
}

/** Width in pixels of the seam inside the mask where the result fades in. */
const FEATHER = 4;

/** Takes the result inside the mask and the picture outside; only the mask's side of the seam is softened. */
export function pasteBack(result: Pixels, picture: Pixels, mask: Uint8Array): Pixels {
  const { width, height } = picture;
  const depth = measureDepth(mask, width, height, FEATHER);
  const rgb = result.rgb.map((value, i) => {
    const pixel = Math.floor(i / 3);
    const share = (mask[pixel]! / 255) * (depth[pixel]! / FEATHER);
    return Math.round(value * share + picture.rgb[i]! * (1 - share));
  });
  return { rgb, width, height };
}

/**
 * Distance in steps, diagonal ones included, from each pixel to the nearest unmasked one; at most `limit`. The border of
 * the picture does not count as unmasked.
 */
function measureDepth(mask: Uint8Array, width: number, height: number, limit: number): Uint8Array {
  const depth = Uint8Array.from(mask, (value) => (value > 0 ? limit : 0));
  const sweep = (from: number, to: number, step: 1 | -1) => {
    for (let y = from; y !== to; y += step) {
      const before = y - step;
      for (let i = 0, x = step > 0 ? 0 : width - 1; i < width; i++, x += step) {
        let least = depth[y * width + x]!;
        const look = (px: number, py: number) => {
          if (px >= 0 && px < width && py >= 0 && py < height)
            least = Math.min(least, depth[py * width + px]! + 1);
        };
        look(x - step, y);
        look(x - 1, before);
        look(x, before);
        look(x + 1, before);
        depth[y * width + x] = least;
      }
    }
  };
  sweep(0, height, 1);
  sweep(height - 1, -1, -1);
  return depth;
}
