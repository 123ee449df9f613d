// Enlarges planes of numbers, latents or pictures, with a separable kernel. It only enlarges: to shrink, the kernel would
// have to grow with the source.

interface Kernel {
  /** Largest distance with a weight, in source samples. */
  reach: number;
  /** Weight at a distance. */
  weigh(distance: number): number;
}

const kernels = {
  bilinear: { reach: 1, weigh: (x) => Math.max(0, 1 - Math.abs(x)) },
  lanczos: { reach: 3, weigh: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
} satisfies Record<string, Kernel>;

export type KernelName = keyof typeof kernels;

/**
 * [channels, rows, columns] -> [channels, height, width]. At the border only samples inside the source count, and their
 * weights are divided by their sum, as Pillow and torch's antialiased interpolation do. For the bilinear kernel that is
 * the same as repeating the border's sample; for Lanczos it is not.
 */
export function enlargePlanes(
  data: ArrayLike<number>,
  [channels, rows, columns]: readonly [number, number, number],
  [height, width]: readonly [number, number],
  kernel: KernelName,
): Float32Array {
  const across = listTaps(columns, width, kernels[kernel]);
  const down = listTaps(rows, height, kernels[kernel]);
  const wide = new Float32Array(channels * rows * width);
  for (let row = 0; row < channels * rows; row++)
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (const [from, weight] of across[x]!) sum += weight * data[row * columns + from]!;
      wide[row * width + x] = sum;
    }
  const out = new Float32Array(channels * height * width);
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < height; y++)
      for (const [from, weight] of down[y]!) {
        const source = (c * rows + from) * width;
        const target = (c * height + y) * width;
        for (let x = 0; x < width; x++) out[target + x]! += weight * wide[source + x]!;
      }
  return out;
}

/** Lists for each sample of the result the source samples it is made of. Their weights sum to 1. */
function listTaps(length: number, wanted: number, { reach, weigh }: Kernel): [number, number][][] {
  return Array.from({ length: wanted }, (_, at) => {
    const centre = ((at + 0.5) * length) / wanted - 0.5;
    const first = Math.ceil(centre - reach);
    const taps: [number, number][] = [];
    for (let from = first; from <= centre + reach; from++) {
      const weight = weigh(centre - from);
      if (weight !== 0 && from >= 0 && from < length) taps.push([from, weight]);
    }
    const sum = taps.reduce((total, [, weight]) => total + weight, 0);
    return taps.map(([from, weight]) => [from, weight / sum]);
  });
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}
