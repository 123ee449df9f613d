// What the library's methods take.
import type { Pixels } from '../native/addon.js';

/** A picture: a file's path, an encoded file's bytes (PNG, JPEG, WebP, GIF, AVIF, TIFF), or RGB pixels. */
export type PictureInput = string | Uint8Array | Pixels;

export interface GenerateOptions {
  /** What to draw. `(word:1.3)` weights a word, `BREAK` starts a new chunk of 75 tokens. */
  prompt: string;
  /** What to avoid; without effect at guidance 0 and 1. Default: nothing. */
  negativePrompt?: string;
  /** Pixels, a multiple of 8 (FLUX: 16). Default: the model's. */
  width?: number;
  /** Pixels, a multiple of 8 (FLUX: 16). Default: the model's. */
  height?: number;
  /** Denoising steps, 1 … 1000. Default: the model's. */
  steps?: number;
  /** How closely to follow the prompt, 0 … 100; 0 and 1 skip the negative prompt. Default: the model's. */
  guidance?: number;
  /** 0 … 2^53 - 1; the same seed and options give the same picture. Default: random. */
  seed?: number;
  /** 'euler', 'euler_a', 'dpmpp_2m', …, in any common spelling. Default: the model's. */
  sampler?: string;
  /** 'normal', 'karras', 'simple', …. Default: the model's. */
  schedule?: string;
  /** 'philox' gives the noise of the WebUI, 'torch' that of ComfyUI and diffusers. Default: 'philox'. */
  noise?: 'philox' | 'torch';
  /** What a Stable Diffusion network predicts, noise or velocity. Default: what its file tells. */
  prediction?: 'eps' | 'v';
  /** Pictures; number i has seed + i. 1 … 64. Default: 1. */
  batch?: number;
  /** Text encoder layers counted from the last. 1 … 12. Default: 1. */
  clipSkip?: number;
  /** A small picture with every n-th step of the progress. Default: 0, none. */
  previewEvery?: number;
  /** Low-rank adaptations: a path or a name in LORA_DIR, and the strength, usually 0 … 1. Default: none. */
  loras?: { path: string; strength: number }[];
  /**
   * Embeddings (textual inversion) whose names the prompts use: paths or names. Those in EMBEDDING_DIR need no list.
   * Default: none.
   */
  embeddings?: string[];
  /**
   * Pictures to look at: one for FLUX.1 Kontext, several for FLUX.2; other models refuse them with UNSUPPORTED. Scaled
   * to what the model was made for; FLUX.2 cuts their sides to multiples of 16 around the middle. Default: none.
   */
  references?: PictureInput[];
  /** Tiny autoencoder (TAESD) that draws the previews: a path or a name in the model folder's vae_approx/. Default: the model's that lies there. */
  tae?: string;
  /** It draws the finished pictures too: fast, a little less fine. Default: false. */
  fastDecode?: boolean;
  /**
   * ControlNet (SD 1.x, 2.x, XL): `model` is a file, a diffusers folder or a name in the model folder's controlnet/,
   * `image` the finished map of edges, depth … that it looks at, stretched to the size of the picture. `strength` 0 … 2
   * (default 1); it is silent before the share `start` of the steps and after `end` (defaults 0 and 1). Default: none.
   */
  control?: { model: string; image: PictureInput; strength?: number; start?: number; end?: number };
  /** ESRGAN upscaler that makes the pictures larger: a path or a name in the model folder's upscalers/. */
  upscaler?: string;
  /** Cancels within a step; the run rejects with ABORTED. */
  signal?: AbortSignal;
}

export interface TextToImageOptions extends GenerateOptions {
  /**
   * Hires fix: the finished picture is enlarged and gone over once more. `scale` 1 … 8 (default 2), `strength` 0 … 1
   * (default 0.6), `steps` (default: as many as the first pass), `upscaler` 'latent' (default) or 'pixel'.
   */
  hires?: { scale?: number; strength?: number; steps?: number; upscaler?: 'latent' | 'pixel' };
}

export interface UpscaleOptions {
  image: PictureInput;
  /** ESRGAN upscaler (RealESRGAN x2plus, x4plus, …): a path or a name in the model folder's upscalers/. */
  model: string;
  /** Size of the result over that of the source. Default: what the upscaler makes. */
  scale?: number;
  /** Largest side of a tile in pixels of the source, from 64. Default: from the free memory. */
  tile?: number;
  /** Tiles that are done, and all of them. */
  onProgress?: (done: number, tiles: number) => void;
  /** Cancels within a tile; rejects with ABORTED. */
  signal?: AbortSignal;
}

export interface EditOptions extends GenerateOptions {
  /**
   * The picture to start from, stretched to width x height where both are given. Otherwise the size is the picture's
   * own, scaled down to the area that the model is made for.
   */
  image: PictureInput;
  /** How much may change: 0 keeps the picture, 1 ignores it. Default: 0.6; for inpaint 0.85. */
  strength?: number;
}

export interface InpaintOptions extends EditOptions {
  /** White is repainted, black stays; stretched to the picture's size. */
  mask: PictureInput;
}
