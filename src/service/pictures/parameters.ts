// The Stable Diffusion WebUI's "parameters" text, which other tools read out of PNG files: prompt lines, negative
// prompt lines, then one line "Steps: 20, Sampler: Euler a, …". Written for, and read like, the WebUI's own parser.
import type { HiresUpscaler } from '../../pipeline/types.js';
import { samplerEntries, scheduleEntries } from '../../sampling/index.js';
import type { ControlFacts, ImageMetadata, LoraFacts } from './metadata.js';

export type ParameterSource = Omit<
  ImageMetadata,
  'filename' | 'timestamp' | 'saved_at_iso' | 'cached' | 'notes'
>;

/** The WebUI's names; its "Lanczos" enlarges pictures. */
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
  const last = settings
    .filter(([, value]) => value !== null)
    .map(([key, value]) => `${key}: ${quote(String(value))}`)
    .join(', ');
  const negative =
    meta.negative_prompt.trim() === '' ? [] : [`Negative prompt: ${escapeLines(meta.negative_prompt)}`];
  return [escapeLines(meta.prompt), ...negative, last].join('\n');
}

/** In the words of the WebUI's extension; the control image is a finished map. */
/** With two strengths in the order of the WebUI's tags: the text encoders' first. */
function describeLora({ name, strength, text_strength: text }: LoraFacts): string {
  return text === undefined ? `${name}: ${strength}` : `${name}: ${text}: ${strength}`;
}

function describeControl({ model, strength, start, end }: ControlFacts): string {
  return `Module: none, Model: ${model}, Weight: ${strength}, Guidance Start: ${start}, Guidance End: ${end}`;
}

/** What the WebUI's parser finds: "Prompt", "Negative prompt", and each pair of the last line. */
export function parseParameters(text: string): Record<string, string> {
  const lines = text.trim().split('\n');
  let settings = lines.pop() ?? '';
  if ([...settings.matchAll(PAIR)].length < 3) {
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
  const found: Record<string, string> = { Prompt: prompt.join('\n'), 'Negative prompt': negative.join('\n') };
  for (const [, key, value] of settings.matchAll(PAIR)) {
    const text = unquote(value!);
    found[key!] = text;
    const sides = /^(\d+)x(\d+)$/.exec(text);
    if (sides) Object.assign(found, { [`${key}-1`]: sides[1], [`${key}-2`]: sides[2] });
  }
  return found;
}

function findLabel(entries: readonly { name: string; label: string }[], name: string): string {
  return entries.find((entry) => entry.name === name)?.label ?? name;
}

const NEGATIVE = 'Negative prompt:';
const PAIR = /\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/g;

/** Lines of a prompt must not look like the parser's own marks: a prompt line that does gets a space before its colon. */
function escapeLines(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .split('\n')
    .map((line) => line.trim().replace(/^Negative prompt:/, 'Negative prompt :'))
    .join('\n')
    .trim();
}

function quote(value: string): string {
  return /[,:\n"]/.test(value) ? JSON.stringify(value) : value;
}

function unquote(value: string): string {
  if (!/^".*"$/s.test(value)) return value.trim();
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}
