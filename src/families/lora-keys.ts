// How LoRA files name what they hold: a module's name in somebody's convention, then which factor it is.
import type { Tensors, TensorView } from './tensors.js';

/** One module's low-rank update. */
export interface LoraPair {
  up?: TensorView;
  down?: TensorView;
  alpha?: TensorView;
  /** Names of the tensors in the file, for messages. */
  keys: string[];
}

type Role = 'up' | 'down' | 'alpha';

const suffixes: [RegExp, Role][] = [
  [/\.lora_up(\.default)?\.weight$/, 'up'],
  [/\.lora_down(\.default)?\.weight$/, 'down'],
  [/\.lora_B(\.default)?(\.weight)?$/, 'up'],
  [/\.lora_A(\.default)?(\.weight)?$/, 'down'],
  [/\.lora\.up\.weight$/, 'up'],
  [/\.lora\.down\.weight$/, 'down'],
  [/\.lora_linear_layer\.up\.weight$/, 'up'],
  [/\.lora_linear_layer\.down\.weight$/, 'down'],
  [/_lora\.up\.weight$/, 'up'],
  [/_lora\.down\.weight$/, 'down'],
  [/\.alpha$/, 'alpha'],
];

/** Updates of other forms than two factors, by what only their keys hold. */
const otherKinds: [RegExp, string][] = [
  [/\.hada_/, 'LoHa'],
  [/\.lokr_/, 'LoKr'],
  [/\.(dora_scale|lora_magnitude_vector)\b/, 'DoRA'],
  [/\.oft_(blocks|diag)\b/, 'OFT'],
  [/\.lora_mid\./, 'LoCon with a Tucker core'],
  [/\.(diff|diff_b)$/, 'whole differences'],
];

/** The kinds of updates that are named and not supported. */
export function nameKinds(keys: readonly string[]): string[] {
  return otherKinds.filter(([pattern]) => keys.some((key) => pattern.test(key))).map(([, name]) => name);
}

/** The pairs by module name, and the keys that are no part of a low-rank pair (LoHa, LoKr, DoRA, biases …). */
export function pairKeys(tensors: Tensors): { pairs: Map<string, LoraPair>; others: string[] } {
  const pairs = new Map<string, LoraPair>();
  const others: string[] = [];
  for (const [key, view] of tensors) {
    const found = suffixes.find(([suffix]) => suffix.test(key));
    if (!found) {
      others.push(key);
      continue;
    }
    const [suffix, role] = found;
    const module = plainModule(key.replace(suffix, ''));
    const pair = pairs.get(module) ?? { keys: [] };
    pair[role] = view;
    pair.keys.push(key);
    pairs.set(module, pair);
  }
  return { pairs, others };
}

/** diffusers' first LoRAs hung below attention processors: "attn1.processor.to_q", "attn1.processor.to_out". */
function plainModule(module: string): string {
  return module.replace(/\.processor\.to_out$/, '.to_out.0').replace(/\.processor\.(to_\w+)$/, '.$1');
}

/** Width of the text states that cross attention reads. */
const textWidths: Record<number, string> = {
  768: 'Stable Diffusion 1.x',
  1024: 'Stable Diffusion 2.x',
  2048: 'Stable Diffusion XL',
};

/** For people: what a LoRA was made for, as far as names and shapes tell. */
export function guessBase(pairs: ReadonlyMap<string, LoraPair>): string | undefined {
  for (const [module, { down }] of pairs) {
    if (/(^|[._])(double_blocks|single_blocks|single_transformer_blocks)[._]/.test(module)) return 'FLUX';
    const width = /attn2[._]to_[kv]$/.test(module) ? down?.shape[1] : undefined;
    if (width !== undefined && textWidths[width]) return textWidths[width];
  }
  return undefined;
}
