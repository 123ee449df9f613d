// The bounds of a request's numbers, the same through every door: the request schema, the command line and the library
// take them from here. What depends on the model or on a setting, such as MAX_RES, is checked where it is known.

export const LIMITS = {
  /** Shortest side of a picture in pixels. */
  minSide: 64,
  /** Longest side of a picture in pixels, whatever MAX_RES says. */
  maxSide: 16384,
  /** Longest side of the models that go beyond the default of MAX_RES. */
  largeSide: 2048,
  /** Pixels of an upscaled picture: 400 MB as RGB. */
  upscaledPixels: 2 ** 27,
  promptLength: 10_000,
  steps: 200,
  guidance: 50,
  /** Largest seed. The last picture of a batch uses seed + batch - 1, which may not exceed it either. */
  seed: 2n ** 64n - 1n,
  batch: 16,
  clipSkip: 12,
  loras: 16,
  /** A LoRA's strength goes from minus this to this. */
  loraStrength: 10,
  embeddings: 16,
  styles: 16,
  references: 10,
  controlStrength: 2,
  hiresScale: 8,
  /** Characters of a base64 picture: 48 MiB of file. */
  pictureLength: 2 ** 26,
} as const;

/** Share of the schedule that runs over a given picture when the request does not say. */
export const DEFAULT_STRENGTH = { edit: 0.6, inpaint: 0.85 } as const;
