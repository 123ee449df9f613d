// The options that generate, edit and inpaint share, and how they become fields of the request schema.
import { type Command, Option } from 'commander';

/** What commander gives for these options; numbers are still texts. */
export interface ImageOptions {
  steps?: string;
  guidance?: string;
  width?: string;
  height?: string;
  seed?: string;
  output?: string;
  outputDir?: string;
  preview?: string;
  verbose?: true;
  quiet?: true;
  json?: true;
  negative?: string;
  model?: string;
  vae?: string;
  tae?: string;
  fastDecode?: true;
  clipL?: string;
  clipG?: string;
  t5xxl?: string;
  llm?: string;
  lora?: string[];
  embedding?: string[];
  sampler?: string;
  schedule?: string;
  noise?: string;
  prediction?: string;
  batch?: string;
  clipSkip?: string;
  strength?: string;
  hiresScale?: string;
  hiresStrength?: string;
  hiresSteps?: string;
  hiresUpscaler?: string;
  upscale?: string;
  assist?: true;
  memoryMode?: string;
  ref?: string[];
  cache: boolean;
}

export function addImageOptions(command: Command): Command {
  return command
    .option('-s, --steps <n>', 'number of inference steps (default: the model’s)')
    .option('-g, --guidance <n>', 'guidance scale (default: the model’s)')
    .option('-w, --width <pixels>', 'image width, a multiple of 8 (default: the model’s)')
    .option('-h, --height <pixels>', 'image height, a multiple of 8 (default: the model’s)')
    .option('--seed <n>', 'seed for a reproducible image (default: random)')
    .option('-n, --negative <text>', 'what to avoid')
    .option('-m, --model <key|file>', 'model key (see `imageforge models list`), GGUF or safetensors file')
    .option('--vae <file>', 'autoencoder instead of the model’s own')
    .option(
      '--tae <file>',
      'tiny autoencoder (TAESD) that draws previews (default: the model’s in vae_approx/, if it is there)',
    )
    .option('--fast-decode', 'let the tiny autoencoder draw the finished image too')
    .option('--clip-l <file>', 'CLIP-L text encoder')
    .option('--clip-g <file>', 'OpenCLIP bigG text encoder')
    .option('--t5xxl <file>', 'T5 XXL text encoder')
    .option('--llm <file>', 'language model (FLUX.2)')
    .option(
      '--lora <file[:strength]>',
      'LoRA file, with its strength after a colon; may be repeated',
      collect,
    )
    .option(
      '--embedding <file>',
      'textual inversion whose name the prompt uses; those in EMBEDDING_DIR need no option; may be repeated',
      collect,
    )
    .option('--ref <file>', 'picture to look at (FLUX.1 Kontext, FLUX.2); may be repeated', collect)
    .option('--sampler <name>', 'sampler, e.g. euler_a or "DPM++ 2M Karras"')
    .option('--schedule <name>', 'noise schedule, e.g. karras')
    .addOption(
      new Option('--noise <kind>', 'noise as the WebUI (philox) or as ComfyUI and diffusers (torch)').choices(
        ['philox', 'torch'],
      ),
    )
    .addOption(
      new Option('--prediction <kind>', 'what the network predicts, where its file doesn’t tell').choices([
        'eps',
        'v',
      ]),
    )
    .option('-b, --batch <n>', 'images, with seeds counting up (default: 1)')
    .option('--clip-skip <n>', 'CLIP layer counted from the last (default: 1)')
    .addOption(
      new Option(
        '--memory-mode <mode>',
        'keep all networks in memory, one at a time, or stream their layers (default: MEMORY_MODE)',
      ).choices(['auto', 'full', 'offload', 'stream']),
    )
    .option('--upscale <file>', 'ESRGAN upscaler that makes the finished images larger')
    .option('--assist', 'expand the prompt with Ollama first')
    .option('--no-cache', 'neither look for the image of an earlier request nor keep this one')
    .option('-o, --output <path>', 'file to write (default: a name from time and seed)')
    .option('--output-dir <folder>', 'folder to write to (default: OUTPUT_DIR)')
    .option('--preview <file>', 'PNG or JPEG file that shows the picture while it is made')
    .option('--json', 'print one JSON document instead of the path')
    .option('-q, --quiet', 'no progress')
    .option('-v, --verbose', 'log what happens');
}

/** Those of `generate` alone. */
export function addHiresOptions(command: Command): Command {
  return command
    .option('--hires-scale <n>', 'hires fix: enlarge the finished image so much and go over it once more')
    .option('--hires-strength <n>', 'how much that second pass may change, 0 to 1 (default: 0.6)')
    .option('--hires-steps <n>', 'steps of the second pass (default: as many as the first)')
    .addOption(
      new Option('--hires-upscaler <kind>', 'what is enlarged (default: latent)').choices([
        'latent',
        'pixel',
      ]),
    );
}

export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

/** Fields of the request schema; the schema checks them. */
export function toFields(prompt: string | undefined, options: ImageOptions): Record<string, unknown> {
  return {
    prompt,
    negative_prompt: options.negative,
    model: options.model,
    vae: options.vae,
    tae: options.tae,
    fast_decode: options.fastDecode,
    clip_l: options.clipL,
    clip_g: options.clipG,
    t5xxl: options.t5xxl,
    llm: options.llm,
    loras: options.lora?.map(parseLora),
    embeddings: options.embedding,
    steps: toNumber(options.steps),
    guidance: toNumber(options.guidance),
    width: toNumber(options.width),
    height: toNumber(options.height),
    seed: toNumber(options.seed),
    sampler: options.sampler,
    schedule: options.schedule,
    noise: options.noise,
    prediction: options.prediction,
    batch: toNumber(options.batch),
    clip_skip: toNumber(options.clipSkip),
    strength: toNumber(options.strength),
    hires_scale: toNumber(options.hiresScale),
    hires_strength: toNumber(options.hiresStrength),
    hires_steps: toNumber(options.hiresSteps),
    hires_upscaler: options.hiresUpscaler,
    memory_mode: options.memoryMode,
    reference_paths: options.ref,
    upscaler: options.upscale,
    assist_prompt: options.assist,
    use_cache: options.cache,
  };
}

/** A text that is no number stays one, for the schema to refuse by name. */
export function toNumber(text: string | undefined): number | string | undefined {
  return text !== undefined && /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim())
    ? Number(text)
    : text;
}

/** "file.safetensors:0.8"; a colon of a Windows drive is no strength. */
function parseLora(text: string): { path: string; strength: number } {
  const match = /^(.+):(-?\d+(?:\.\d+)?)$/.exec(text);
  return match ? { path: match[1]!, strength: Number(match[2]) } : { path: text, strength: 1 };
}
