// What a LoRA file is, for people: its kinds of updates, ranks, and what it was made for.
import type { Tensors } from '../tensors.js';
import { readChanges } from './changes.js';
import { type LoraModule, nameUnsupported, readKeys } from './keys.js';

/** One line: "LoRA of 12 modules, rank 4 to 8, for FLUX". */
export function describeLora(tensors: Tensors): string {
  const { modules, others } = readKeys(tensors);
  const unsupported = nameUnsupported(others);
  const changes = [...modules.values()].flatMap((module) => readChanges(module, anyShape, false).changes);
  if (changes.length === 0)
    return `${unsupported.join(' and ') || 'LoRA without whole updates'}, which ImageForge doesn't apply`;
  const kinds = [...new Set(changes.map(({ name, magnitude }) => (magnitude ? `DoRA (${name})` : name)))];
  const ranks = [...new Set(changes.flatMap(({ rank }) => rank ?? []))].sort((a, b) => a - b);
  const range = ranks.length > 1 ? `${ranks[0]} to ${ranks.at(-1)}` : ranks[0];
  const base = guessBase(modules);
  return (
    `${kinds.join(', ')} of ${modules.size} modules${range === undefined ? '' : `, rank ${range}`}` +
    `${base ? `, for ${base}` : ''}${unsupported.length > 0 ? `; with ${unsupported.join(' and ')}, which ImageForge doesn't apply` : ''}`
  );
}

const anyShape = { rows: 0, inputs: 0, taps: 1 };

/** Width of the text states that cross attention reads. */
const textWidths: Record<number, string> = {
  768: 'Stable Diffusion 1.x',
  1024: 'Stable Diffusion 2.x',
  2048: 'Stable Diffusion XL',
};

/** What a LoRA was made for, as far as names and shapes tell. */
export function guessBase(modules: ReadonlyMap<string, LoraModule>): string | undefined {
  for (const [name, module] of modules) {
    if (/(^|[._])(double_blocks|single_blocks|single_transformer_blocks)[._]/.test(name)) return 'FLUX';
    const width = /attn2[._]to_[kv]$/.test(name) ? inputsOf(module) : undefined;
    if (width !== undefined && textWidths[width]) return textWidths[width];
  }
  return undefined;
}

function inputsOf(module: LoraModule): number | undefined {
  const last = module.get('down') ?? module.get('hada_w1_b') ?? module.get('glora_b2') ?? module.get('diff');
  return last?.view.shape[1];
}
