// Bounds of what a request may ask for.

export const LIMITS = {
  minSide: 64,
  /** Bound of the models that go beyond the default of MAX_RES. */
  largeSide: 2048,
  promptLength: 10_000,
  steps: 200,
  guidance: 50,
  batch: 16,
  references: 10,
  /** Characters of a base64 picture: 48 MiB of file. */
  pictureLength: 2 ** 26,
} as const;
