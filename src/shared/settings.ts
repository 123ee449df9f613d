// The table of settings: names (the first is ours, others are honoured too), default, what is allowed. Documentation,
// .env.example and `imageforge config` are made from it.
import { MEMORY_MODES, type MemoryChoice } from './memory-modes.js';
import { PROMPT_SYNTAXES, type PromptSyntax } from './prompt-syntaxes.js';

interface Setting<T> {
  /** Environment variables, first one wins. */
  readonly names: readonly [string, ...string[]];
  readonly default: T;
  /** What a message says is allowed. */
  readonly allowed: string;
  readonly about: string;
  readonly secret?: boolean;
  /** Made absolute from the working directory, with `~` and `$NAME` expanded. */
  readonly isPath?: boolean;
  /** undefined = not allowed. */
  parse(text: string): T | undefined;
}

type Details = { names: readonly [string, ...string[]]; about: string };

export type DeviceChoice = 'auto' | 'cpu' | 'cuda' | 'metal' | 'vulkan';

export const settings = {
  model: text({
    names: ['IMAGEFORGE_MODEL', 'FLUX_MODEL_ID'],
    about: 'Default model: a key of `imageforge models list`, its Hugging Face id, or a file.',
    allowed: 'a model key, a Hugging Face id or a path',
  }),
  device: choice<DeviceChoice>(
    {
      names: ['DEVICE'],
      about: 'Where the model runs; auto takes the best GPU, else the CPU; mps means metal.',
    },
    ['auto', 'cpu', 'cuda', 'metal', 'vulkan'],
    { mps: 'metal' },
  ),
  memoryMode: choice<MemoryChoice>(
    {
      names: ['MEMORY_MODE'],
      about:
        'full: all on the device; offload: one network at a time; stream: layer by layer; auto: what fits.',
    },
    ['auto', ...MEMORY_MODES],
  ),
  threads: integer({ names: ['THREADS'], about: 'CPU threads; 0 = one per core.' }, 0, 0, 1024),
  outputDir: folder({ names: ['OUTPUT_DIR', 'FLUX_OUTPUT_DIR'], about: 'Where images land.' }, 'outputs'),
  cacheDir: folder(
    {
      names: ['CACHE_DIR'],
      about: "Images of seeded requests, returned at once; jobs that wait for the server's next start.",
    },
    'cache',
  ),
  cacheMaxBytes: bytes(
    { names: ['CACHE_MAX_BYTES'], about: 'Size at which the least recently used images go; 0 = no cache.' },
    2 ** 30,
  ),
  modelDir: folder(
    { names: ['IMAGEFORGE_MODEL_DIR'], about: 'Where model files are kept.' },
    '~/.cache/imageforge/models',
  ),
  hubCache: folder(
    { names: ['FLUX_MODEL_CACHE', 'HF_HUB_CACHE'], about: "Hugging Face hub's cache, searched for models." },
    '',
  ),
  hubHome: folder(
    { names: ['HF_HOME'], about: "Hugging Face's folder; its hub/ is searched too." },
    '~/.cache/huggingface',
  ),
  hubToken: {
    ...text({ names: ['HF_TOKEN'], about: 'Token for gated models.', allowed: 'a token' }),
    secret: true,
  },
  hubEndpoint: {
    ...text({
      names: ['HF_ENDPOINT'],
      about: 'Address of the Hugging Face hub, or of a mirror.',
      allowed: 'an http or https address',
    }),
    default: 'https://huggingface.co',
    parse: (value: string) => (isHttpUrl(value) ? value.replace(/\/+$/, '') : undefined),
  },
  maxRes: integer(
    { names: ['MAX_RES'], about: 'Largest width and height; if not set, FLUX dev models may go to 2048.' },
    1024,
    64,
    8192,
  ),
  defaultSteps: optionalInteger(
    {
      names: ['FLUX_DEFAULT_STEPS'],
      about: "Default steps, instead of the model's own; models distilled to a few steps keep theirs.",
    },
    1,
    200,
  ),
  defaultGuidance: optionalNumber(
    {
      names: ['FLUX_DEFAULT_GUIDANCE'],
      about: "Default guidance, instead of the model's own; models distilled to a few steps keep theirs.",
    },
    0,
    50,
  ),
  allowFlux: flag({
    names: ['ALLOW_FLUX'],
    about: 'Unlocks the guarded model flux-q4 (16-18 GB at its peak).',
  }),
  allowKlein: flag({
    names: ['ALLOW_KLEIN'],
    about: 'Unlocks the guarded models flux2-klein and flux2-klein-9b (8-16 GB).',
  }),
  loraDir: folder(
    {
      names: ['LORA_DIR'],
      about:
        'Where LoRAs are looked for by name, before loras/ in IMAGEFORGE_MODEL_DIR and that folder itself.',
    },
    '',
  ),
  embeddingDir: folder(
    {
      names: ['EMBEDDING_DIR'],
      about:
        'Where the embeddings (textual inversion) lie that prompts use by name, before embeddings/ in IMAGEFORGE_MODEL_DIR.',
    },
    '',
  ),
  promptDir: folder(
    {
      names: ['PROMPT_DIR'],
      about: 'Where wildcards/ and styles.csv lie that prompts use by name; default: IMAGEFORGE_MODEL_DIR.',
    },
    '',
  ),
  promptSyntax: choice<PromptSyntax>(
    {
      names: ['PROMPT_SYNTAX'],
      about:
        'How prompts are written, where a request says nothing: as in the WebUI, as in ComfyUI, or in plain words.',
    },
    PROMPT_SYNTAXES,
  ),
  portraitLora: folder(
    { names: ['IMAGEFORGE_LORA_PORTRAIT'], about: 'LoRA file of the model sdxl-portrait.' },
    '',
  ),
  warmup: flag({ names: ['WARMUP'], about: 'Load the default model when the server starts.' }),
  unloadTimeout: number(
    {
      names: ['FLUX_UNLOAD_TIMEOUT'],
      about: 'Seconds without a request after which the model is unloaded; 0 = never.',
    },
    300,
    0,
    7 * 24 * 3600,
  ),
  queueLimit: integer({ names: ['QUEUE_LIMIT'], about: 'Requests that may wait.' }, 256, 1, 100_000),
  port: integer({ names: ['PORT'], about: 'HTTP port; 0 = any free one.' }, 8765, 0, 65_535),
  host: {
    ...text({
      names: ['HOST'],
      about: 'HTTP address; another than loopback needs API_KEY or ALLOW_REMOTE=1.',
      allowed: 'an address or a host name',
    }),
    default: '127.0.0.1',
    parse: (value: string) => (/^[\w.:[\]-]+$/.test(value) ? value : undefined),
  },
  apiKey: {
    ...text({
      names: ['API_KEY'],
      about: 'Key that HTTP clients must send (Authorization: Bearer …).',
      allowed: 'at least 8 characters',
    }),
    secret: true,
    parse: (value: string) => (value.length >= 8 ? value : undefined),
  },
  allowRemote: flag({ names: ['ALLOW_REMOTE'], about: 'Serve other machines without a key.' }),
  allowedPaths: list({
    names: ['ALLOWED_PATHS'],
    about: `Folders besides OUTPUT_DIR from which clients may name files, separated by "${separator()}".`,
  }),
  ollamaUrl: {
    ...text({
      names: ['OLLAMA_URL'],
      about: 'Ollama, for prompt assist.',
      allowed: 'an http or https address',
    }),
    default: 'http://127.0.0.1:11434',
    parse: (value: string) => (isHttpUrl(value) ? value.replace(/\/+$/, '') : undefined),
  },
  ollamaModel: {
    ...text({ names: ['OLLAMA_MODEL'], about: 'Model that expands prompts.', allowed: 'a model name' }),
    default: 'gemma4:latest',
  },
  logLevel: choice<'debug' | 'info' | 'warn' | 'error' | 'silent'>(
    { names: ['LOG_LEVEL'], about: 'What is logged to stderr by the servers.' },
    ['info', 'debug', 'warn', 'error', 'silent'],
  ),
} satisfies Record<string, Setting<unknown>>;

export type SettingName = keyof typeof settings;
export type Settings = {
  readonly [K in SettingName]:
    | NonNullable<ReturnType<(typeof settings)[K]['parse']>>
    | (typeof settings)[K]['default'];
};

function text(details: Details & { allowed: string }): Setting<string | undefined> {
  return { ...details, default: undefined, parse: (value) => value };
}

function choice<T extends string>(
  details: Details,
  values: readonly [T, ...T[]],
  synonyms: Record<string, T> = {},
): Setting<T> {
  const all: Record<string, T> = {
    ...Object.fromEntries(values.map((value) => [value, value])),
    ...synonyms,
  };
  return {
    ...details,
    default: values[0],
    allowed: `one of ${Object.keys(all).join(', ')}`,
    parse: (value) => (Object.hasOwn(all, value.toLowerCase()) ? all[value.toLowerCase()] : undefined),
  };
}

function flag(details: Details): Setting<boolean> {
  const words: Record<string, boolean> = {
    '1': true,
    true: true,
    yes: true,
    on: true,
    '0': false,
    false: false,
    no: false,
    off: false,
  };
  return {
    ...details,
    default: false,
    allowed: '0 or 1',
    parse: (value) => (Object.hasOwn(words, value.toLowerCase()) ? words[value.toLowerCase()] : undefined),
  };
}

function number(details: Details, fallback: number, min: number, max: number): Setting<number> {
  return {
    ...details,
    default: fallback,
    allowed: `a number from ${min} to ${max}`,
    parse: (value) =>
      /^\d+(\.\d+)?$/.test(value) && Number(value) >= min && Number(value) <= max ? Number(value) : undefined,
  };
}

function integer(details: Details, fallback: number, min: number, max: number): Setting<number> {
  return {
    ...number(details, fallback, min, max),
    allowed: `a whole number from ${min} to ${max}`,
    parse: (value) =>
      /^\d+$/.test(value) && Number(value) >= min && Number(value) <= max ? Number(value) : undefined,
  };
}

function optionalInteger(details: Details, min: number, max: number): Setting<number | undefined> {
  return { ...integer(details, min, min, max), default: undefined };
}

function optionalNumber(details: Details, min: number, max: number): Setting<number | undefined> {
  return { ...number(details, min, min, max), default: undefined };
}

function bytes(details: Details, fallback: number): Setting<number> {
  const units: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };
  return {
    ...details,
    default: fallback,
    allowed: 'bytes, or a number with K, M, G or T',
    parse: (value) => {
      const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(value);
      const size = match
        ? Math.round(Number(match[1]) * (units[match[2]!.toLowerCase()] ?? Number.NaN))
        : Number.NaN;
      return Number.isSafeInteger(size) ? size : undefined;
    },
  };
}

function folder(details: Details, fallback: string): Setting<string> {
  return {
    ...details,
    default: fallback,
    isPath: true,
    allowed: 'a path',
    parse: (value) => (value.includes('\0') ? undefined : value),
  };
}

function list(details: Details): Setting<readonly string[]> {
  return {
    ...details,
    default: [],
    isPath: true,
    allowed: `paths separated by "${separator()}"`,
    parse: (value) =>
      value
        .split(separator())
        .map((entry) => entry.trim())
        .filter(Boolean),
  };
}

function separator(): string {
  return process.platform === 'win32' ? ';' : ':';
}

function isHttpUrl(value: string): boolean {
  return URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);
}
