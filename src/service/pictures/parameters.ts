// The Stable Diffusion WebUI's "parameters" text, which other tools read out of PNG files: prompt lines, negative
// prompt lines, then one line "Steps: 20, Sampler: Euler a, …". The WebUI's own parser reads what is written here, and text is read as it does.
import type { HiresUpscaler } from '../../pipeline/types.js';
import { samplerEntries, scheduleEntries } from '../../sampling/index.js';
import type { ControlFacts, ImageMetadata, LoraFacts } from './metadata.js';

export type ParameterSource = Omit<
  ImageMetadata,
  'filename' | 'timestamp' | 'saved_at_iso' | 'cached' | 'notes'
>;

/** The WebUI's names. Its "Lanczos" enlarges the picture, not the latent. */
const UPSCALERS: Record<HiresUpscaler, string> = { latent: 'Latent', pixel: 'Lanczos' };

/** The text of one picture. */
export function formatParameters(meta: ParameterSource): string {
  const { hires } = meta;
  const drawn = (side: number) => side / (meta.upscale ?? 1);
  const settings: [string, string | number | null][] = [
    ['Steps', meta.steps],
    ['Sampler', findLabel(samplerEntries, meta.sampler)],
    ['Schedule type', findLabel(scheduleEntries, meta.schedule)],
    ['CFG scale', meta.guidance],
    ['CFG Rescale', meta.guidance_rescale || null],
    ['Seed', meta.seed],
    // the WebUI writes the size of the first pass, which it needs to make the picture again
    ['Size', `${hires?.first_width ?? drawn(meta.width)}x${hires?.first_height ?? drawn(meta.height)}`],
    ['Model', meta.model],
    ['Denoising strength', hires?.strength ?? meta.strength],
    ['Hires upscale', hires?.scale ?? null],
    ['Hires steps', hires && hires.steps !== meta.steps ? hires.steps : null],
    ['Hires upscaler', hires && UPSCALERS[hires.upscaler]],
    ['Clip skip', meta.clip_skip > 1 ? meta.clip_skip : null],
    ['RNG', meta.noise === 'torch' ? 'CPU' : null],
    ['Lora', meta.loras.map(describeLora).join(', ') || null],
    ['VAE Decoder', meta.tae === null ? null : 'TAESD'],
    ['ControlNet 0', meta.control && describeControl(meta.control)],
    ['Upscaler', meta.upscaler],
    // under the dynamic prompts extension's names
    ['Template', meta.original_prompt],
    ['Negative Template', meta.original_negative_prompt || null],
    ['Version', meta.software],
  ];
  const written = settings
    .filter(([, value]) => value !== null)
    .map(([key, value]) => `${key}: ${quote(String(value))}`);
  const negative =
    meta.negative_prompt.trim() === '' ? [] : [`${NEGATIVE} ${escapeLines(meta.negative_prompt)}`];
  const prompts = [escapeLines(meta.prompt), ...negative];
  const join = (exact: string[]) => [...prompts, [...written, ...exact].join(', ')].join('\n');
  return join(describeExactly(meta, parseParameters(join([]))));
}

/** Prompts that would not come back unchanged are repeated in the last line as JSON strings, which other readers ignore. */
function describeExactly(
  { prompt, negative_prompt: negative }: ParameterSource,
  found: Record<string, string>,
): string[] {
  // PNG text has no character 0, and UTF-8 no half of a surrogate pair
  const isKept = (text: string, read: string | undefined) =>
    text === read && Buffer.from(text).toString() === text && !text.includes('\0');
  return [
    ...(isKept(prompt, found.Prompt) ? [] : [`${EXACT.Prompt}: ${JSON.stringify(prompt)}`]),
    ...(isKept(negative, found[NEGATIVE_KEY]) ? [] : [`${EXACT[NEGATIVE_KEY]}: ${JSON.stringify(negative)}`]),
  ];
}

/** Uses the words of the WebUI's extension; the control image is a finished map. */
/** Two strengths are in the order of the WebUI's tags: text encoders, then denoiser. */
function describeLora({ name, strength, text_strength: text }: LoraFacts): string {
  return text === undefined ? `${name}: ${strength}` : `${name}: ${text}: ${strength}`;
}

function describeControl({ model, strength, start, end }: ControlFacts): string {
  return `Module: none, Model: ${model}, Weight: ${strength}, Guidance Start: ${start}, Guidance End: ${end}`;
}

/** Finds what the WebUI's parser finds: "Prompt", "Negative prompt", and each pair of the last line. Our own prompts come back exactly. */
export function parseParameters(text: string): Record<string, string> {
  const lines = text.trim().split('\n');
  let settings = lines.pop() ?? '';
  if (settings.length > MAX_SETTINGS || [...settings.matchAll(PAIR)].length < 3) {
    lines.push(settings);
    settings = '';
  }
  const prompt: string[] = [];
  const negative: string[] = [];
  let inNegative = false;
  for (const raw of lines) {
    const line = raw.trim();
    const starts = line.startsWith(NEGATIVE);
    inNegative ||= starts;
    (inNegative ? negative : prompt).push(starts ? line.slice(NEGATIVE.length).trim() : line);
  }
  const found: Record<string, string> = { Prompt: prompt.join('\n'), [NEGATIVE_KEY]: negative.join('\n') };
  for (const [, key, value] of settings.matchAll(PAIR)) {
    const text = unquote(value!);
    found[key!] = text;
    const sides = /^(\d+)x(\d+)$/.exec(text);
    if (sides) Object.assign(found, { [`${key}-1`]: sides[1], [`${key}-2`]: sides[2] });
  }
  for (const [key, exact] of Object.entries(EXACT)) {
    if (found[exact] === undefined) continue;
    found[key] = found[exact];
    delete found[exact];
  }
  return found;
}

function findLabel(entries: readonly { name: string; label: string }[], name: string): string {
  return entries.find((entry) => entry.name === name)?.label ?? name;
}

const NEGATIVE_KEY = 'Negative prompt';
const NEGATIVE = `${NEGATIVE_KEY}:`;
const EXACT = { Prompt: 'Exact prompt', [NEGATIVE_KEY]: 'Exact negative prompt' } as const;
/** Repetitions and the line are bounded, so that a long text in a stranger's file takes no more than a moment. */
const PAIR = /\s{0,9}(\w[\w \-/]{1,60}):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/g;
const MAX_SETTINGS = 2 ** 20;

/**
 * A line that begins with "Negative prompt:" gets a space before its colon, so that the WebUI does not end the prompt
 * there. Readers disagree about what is space at the beginning of a line, so it is anything but visible ASCII.
 */
function escapeLines(text: string): string {
  return text
    .replaceAll('\0', '')
    .replace(/\r\n?/g, '\n')
    .split('\n')
    .map((line) => line.replace(/^([^!-~]*Negative prompt):/, '$1 :'))
    .join('\n');
}

function quote(value: string): string {
  return /[,:\n\r"]|^\s|\s$/.test(value) ? JSON.stringify(value) : value;
}

function unquote(value: string): string {
  if (!/^".*"$/s.test(value)) return value.trim();
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}
