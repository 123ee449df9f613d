// The table of settings: their names, defaults and allowed values. Documentation, .env.example and `imageforge config` are
// made from it.
import { LIMITS } from './limits.js';
import { MEMORY_MODES, type MemoryChoice } from './memory-modes.js';
import { PROMPT_SYNTAXES, type PromptSyntax } from './prompt-syntaxes.js';

interface Setting<T> {
  /** Environment variables. If several are set, the first one counts. */
  readonly names: readonly [string, ...string[]];
  readonly default: T;
  /** Allowed values, for messages. */
  readonly allowed: string;
  readonly about: string;
  readonly secret?: boolean;
  /** The value is made absolute from the working directory, with `~` and `$NAME` expanded. */
  readonly isPath?: boolean;
  /** undefined if the text is not allowed. */
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
      about: 'Where the model runs. auto takes the best GPU, else the CPU; mps is another name for metal.',
    },
    ['auto', 'cpu', 'cuda', 'metal', 'vulkan'],
    { mps: 'metal' },
  ),
  memoryMode: choice<MemoryChoice>(
    {
      names: ['MEMORY_MODE'],
      about:
        'How networks are kept in memory. full: all of them; offload: one at a time; stream: layer by layer; auto: what fits.',
    },
    ['auto', ...MEMORY_MODES],
  ),
  threads: integer({ names: ['THREADS'], about: 'CPU threads; 0 = one for each core.' }, 0, 0, 1024),
  outputDir: folder(
    { names: ['OUTPUT_DIR', 'FLUX_OUTPUT_DIR'], about: 'Folder for finished images.' },
    'outputs',
  ),
  cacheDir: folder(
    {
      names: ['CACHE_DIR'],
      about:
        'Folder for images of seeded requests, which are returned at once, and for jobs that wait for the next start.',
    },
    'cache',
  ),
  cacheMaxBytes: bytes(
    {
      names: ['CACHE_MAX_BYTES'],
      about: 'Size of the image cache; beyond it the least recently used images are deleted. 0 = no cache.',
    },
    2 ** 30,
  ),
  modelDir: folder(
    { names: ['IMAGEFORGE_MODEL_DIR'], about: 'Folder for model files.' },
    '~/.cache/imageforge/models',
  ),
  hubCache: folder(
    {
      names: ['FLUX_MODEL_CACHE', 'HF_HUB_CACHE'],
      about: 'Cache of the Hugging Face hub; searched for models.',
    },
    '',
  ),
  hubHome: folder(
    { names: ['HF_HOME'], about: 'Folder of the Hugging Face tools; its hub/ is searched for models too.' },
    '~/.cache/huggingface',
  ),
  hubToken: {
    ...text({ names: ['HF_TOKEN'], about: 'Token for gated models.', allowed: 'a token' }),
    secret: true,
  },
  hubEndpoint: {
    ...text({
      names: ['HF_ENDPOINT'],
      about: 'Address of the Hugging Face hub or of a mirror.',
      allowed: 'an http or https address',
    }),
    default: 'https://huggingface.co',
    parse: (value: string) => (isHttpUrl(value) ? value.replace(/\/+$/, '') : undefined),
  },
  maxRes: integer(
    {
      names: ['MAX_RES'],
      about: 'Largest width and height. If it is not set, FLUX dev models may go up to 2048.',
    },
    1024,
    LIMITS.minSide,
    8192,
  ),
  defaultSteps: optionalInteger(
    {
      names: ['FLUX_DEFAULT_STEPS'],
      about: "Default steps instead of the model's own. Models distilled to a few steps keep theirs.",
    },
    1,
    LIMITS.steps,
  ),
  defaultGuidance: optionalNumber(
    {
      names: ['FLUX_DEFAULT_GUIDANCE'],
      about: "Default guidance instead of the model's own. Models distilled to a few steps keep theirs.",
    },
    0,
    LIMITS.guidance,
  ),
  allowFlux: flag({
    names: ['ALLOW_FLUX'],
    about: 'Unlocks the guarded model flux-q4, which needs 16-18 GB at its peak.',
  }),
  allowKlein: flag({
    names: ['ALLOW_KLEIN'],
    about: 'Unlocks the guarded models flux2-klein and flux2-klein-9b, which need 8-16 GB.',
  }),
  loraDir: folder(
    {
      names: ['LORA_DIR'],
      about:
        'Folder that is searched for LoRAs by name, before loras/ in IMAGEFORGE_MODEL_DIR and that folder itself.',
    },
    '',
  ),
  embeddingDir: folder(
    {
      names: ['EMBEDDING_DIR'],
      about:
        'Folder that is searched for embeddings (textual inversion) by name, before embeddings/ in IMAGEFORGE_MODEL_DIR.',
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
  queueLimit: integer({ names: ['QUEUE_LIMIT'], about: 'How many requests may wait.' }, 256, 1, 100_000),
  port: integer({ names: ['PORT'], about: 'HTTP port; 0 = any free one.' }, 8765, 0, 65_535),
  host: {
    ...text({
      names: ['HOST'],
      about: 'HTTP address. Any other than loopback needs API_KEY or ALLOW_REMOTE=1.',
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
      about: 'Address of Ollama, which expands prompts.',
      allowed: 'an http or https address',
    }),
    default: 'http://127.0.0.1:11434',
    parse: (value: string) => (isHttpUrl(value) ? value.replace(/\/+$/, '') : undefined),
  },
  ollamaModel: {
    ...text({
      names: ['OLLAMA_MODEL'],
      about: 'Ollama model that expands prompts.',
      allowed: 'a model name',
    }),
    default: 'gemma4:latest',
  },
  logLevel: choice<'debug' | 'info' | 'warn' | 'error' | 'silent'>(
    { names: ['LOG_LEVEL'], about: 'What the servers log to stderr.' },
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
