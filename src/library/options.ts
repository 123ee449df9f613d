// The options of the library's methods.
import type { Pixels } from '../native/addon.js';
import type { HiresOptions } from '../pipeline/resolve.js';

/**
 * A picture: the path of a file, the bytes of an encoded file (PNG, JPEG, WebP, GIF, AVIF, TIFF,
 * BMP), or RGB pixels. What
 * {@link ImageForge.generate} returns is one too.
 */
export type PictureInput = string | Uint8Array | Pixels;

/** A low-rank adaptation (LoRA) that changes the model's weights for one run. */
export interface LoraOptions {
  /** A file, or the name of one in LORA_DIR or in the model folder's loras/. */
  path: string;
  /** How much it counts, -10 … 10; usually 0 … 1. */
  strength: number;
  /** How much it counts in the text encoders. Default: `strength`. */
  textStrength?: number;
}

/** A ControlNet (Stable Diffusion 1.x, 2.x and XL) and the picture that the image shall follow. */
export interface ControlOptions {
  /** A file, a diffusers folder, or a name in the model folder's controlnet/. */
  model: string;
  /** The finished map of edges, depth or whatever the ControlNet was trained on; stretched to the size of the image. */
  image: PictureInput;
  /** How much it counts, 0 … 2. Default: 1. */
  strength?: number;
  /** Share of the steps before which it has no effect, 0 … 1. Default: 0. */
  start?: number;
  /** Share of the steps after which it has no effect, 0 … 1. Default: 1. */
  end?: number;
}

/** What all three ways to make an image have in common. */
export interface GenerateOptions {
  /**
   * What to draw. `(word:1.3)` weights a word, `[a:b:0.5]` changes it half-way, `{a|b}` and `__name__` choose one, `BREAK`
   * starts a new chunk of 75 tokens, `<lora:name:0.8>` adds a LoRA. An empty text makes the unconditional image.
   */
  prompt: string;
  /**
   * How prompts are written: as in the WebUI, as in ComfyUI, or in plain words. Default: PROMPT_SYNTAX, which is 'webui'
   * where it is not set.
   */
  promptSyntax?: 'webui' | 'comfy' | 'plain';
  /** Names of styles in PROMPT_DIR that the prompts take on. Default: none. */
  styles?: string[];
  /** What to avoid; without effect at guidance 0 and 1. Default: nothing. */
  negativePrompt?: string;
  /** Pixels, a multiple of 8 (FLUX: 16). Default: the model's. */
  width?: number;
  /** Pixels, a multiple of 8 (FLUX: 16). Default: the model's. */
  height?: number;
  /** Denoising steps, 1 … 200. Default: the model's. */
  steps?: number;
  /** How closely to follow the prompt, 0 … 50; 0 and 1 skip the negative prompt. Default: the model's. */
  guidance?: number;
  /**
   * Guidance rescale, 0 … 1, against pictures that guidance makes too bright: 0.7 suits models trained to zero terminal
   * SNR. Default: 0, none.
   */
  guidanceRescale?: number;
  /**
   * The same seed and options give the same image: a number up to 2^53 - 1, or a bigint or a string of digits up to
   * 2^64 - 1. Default: random.
   */
  seed?: number | bigint | string;
  /** 'euler', 'euler_a', 'dpmpp_2m', …, in any common spelling. Default: the model's. */
  sampler?: string;
  /** 'normal', 'karras', 'simple', …. Default: the model's. */
  schedule?: string;
  /** 'philox' gives the noise of the WebUI, 'torch' that of ComfyUI and diffusers. Default: 'philox'. */
  noise?: 'philox' | 'torch';
  /** What a Stable Diffusion network predicts, noise or velocity. Default: what its file says. */
  prediction?: 'eps' | 'v';
  /** Number of images, 1 … 16; image i of them, from 0, has seed + i. Default: 1. */
  batch?: number;
  /** CLIP's layer whose output is used, counted from the last, 1 … 12. Default: the model's, usually 1. */
  clipSkip?: number;
  /** Puts a small preview into the progress of every n-th step, 0 … 200. Default: 0, no previews. */
  previewEvery?: number;
  /** LoRAs, besides those that the prompt names. Default: none. */
  loras?: LoraOptions[];
  /**
   * Embeddings (textual inversion) whose names the prompts use: files, or names. Those in EMBEDDING_DIR need not be
   * listed. Default: none.
   */
  embeddings?: string[];
  /**
   * Pictures to look at: one for FLUX.1 Kontext, several for FLUX.2; other models refuse them with UNSUPPORTED. They are
   * scaled to the size that the model was trained with, and FLUX.2 crops their sides to multiples of 16 around the
   * middle. Default: none.
   */
  references?: PictureInput[];
  /**
   * Tiny autoencoder (TAESD) that draws the previews: a file, or a name in the model folder's vae_approx/. Default: the
   * one for this model that is found there.
   */
  tae?: string;
  /** Whether it draws the finished images too, which is fast and a little less fine. Default: false. */
  fastDecode?: boolean;
  /** A ControlNet. Default: none. */
  control?: ControlOptions;
  /** ESRGAN upscaler for the finished images: a file, or a name in the model folder's upscalers/. Default: none. */
  upscaler?: string;
  /** Cancels the run within a step; it rejects with ABORTED. */
  signal?: AbortSignal;
}

/** What {@link ImageForge.generate} takes. */
export interface TextToImageOptions extends GenerateOptions {
  /** Hires fix: the finished image is enlarged and denoised once more. Default: none. */
  hires?: HiresOptions;
}

/** What {@link ImageForge.edit} takes. */
export interface EditOptions extends GenerateOptions {
  /**
   * The picture to start from, stretched to width x height where both are given. Otherwise the size is the picture's
   * own, scaled down to the area that the model is made for.
   */
  image: PictureInput;
  /** How much may change: 0 keeps the picture, 1 ignores it. Default: 0.6; for inpaint 0.85. */
  strength?: number;
}

/** What {@link ImageForge.inpaint} takes. */
export interface InpaintOptions extends EditOptions {
  /**
   * White is repainted, black stays; of a mask with transparent parts the opaque ones are repainted, whatever their
   * colour. Stretched to the picture's size.
   */
  mask: PictureInput;
}

/** What {@link ImageForge.upscale} takes. */
export interface UpscaleOptions {
  /** The picture to make larger. */
  image: PictureInput;
  /** ESRGAN upscaler (RealESRGAN x2plus, x4plus, …): a file, or a name in the model folder's upscalers/. */
  model: string;
  /** Size of the result over that of the source, above 0 and at most 16. Default: what the upscaler makes. */
  scale?: number;
  /** Largest side of a tile in pixels of the source, 64 … 4096. Default: from the free memory. */
  tile?: number;
  /** Called with the number of finished tiles and of all tiles. */
  onProgress?: (done: number, tiles: number) => void;
  /** Cancels the run within a tile; it rejects with ABORTED. */
  signal?: AbortSignal;
}
