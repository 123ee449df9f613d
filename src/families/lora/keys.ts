// How LoRA files name what they hold: a module's name in somebody's convention, then the part that the tensor plays.
import type { Tensors, TensorView } from '../tensors.js';

export interface LoraTensor {
  /** Its name in the file. */
  key: string;
  view: TensorView;
}

/** What the endings of keys stand for, in one set of words for all conventions. */
export type LoraPart =
  | 'up'
  | 'down'
  | 'mid'
  | 'up_bias'
  | 'alpha'
  | 'scalar'
  | 'dora_scale'
  | 'magnitude_vector'
  | `hada_${'w1_a' | 'w1_b' | 'w2_a' | 'w2_b' | 't1' | 't2'}`
  | `lokr_${'w1' | 'w1_a' | 'w1_b' | 'w2' | 'w2_a' | 'w2_b' | 't2'}`
  | `glora_${'a1' | 'a2' | 'b1' | 'b2' | 'bm'}`
  | 'oft_blocks'
  | 'rescale'
  | 'ia3'
  | 'on_input'
  | 'diff'
  | 'diff_bias'
  | 'value'
  | 'value_bias';

/** Everything that a file says about one module. */
export type LoraModule = Map<LoraPart, LoraTensor>;

/** PEFT puts the adapter's name behind the factor's: "default" unless its user chose another. */
const adapter = '(\\.(?!(weight|bias)$)[\\w-]+)?';
const peft = `${adapter}(\\.weight)?$`;
const endings: [RegExp, LoraPart][] = [
  [new RegExp(`\\.lora_up${adapter}\\.weight$`), 'up'],
  [new RegExp(`\\.lora_down${adapter}\\.weight$`), 'down'],
  [new RegExp(`\\.lora_mid${adapter}\\.weight$`), 'mid'],
  [new RegExp(`\\.lora_B${peft}`), 'up'],
  [new RegExp(`\\.lora_A${peft}`), 'down'],
  [new RegExp(`\\.lora_(up|B)${adapter}\\.bias$`), 'up_bias'],
  [/\.lora\.up\.weight$/, 'up'],
  [/\.lora\.down\.weight$/, 'down'],
  [/\.lora_linear_layer\.up\.weight$/, 'up'],
  [/\.lora_linear_layer\.down\.weight$/, 'down'],
  // XLabs numbers the updates of its two streams; the number belongs to the module's name
  [/(?<=_lora[12])\.up\.weight$/, 'up'],
  [/(?<=_lora[12])\.down\.weight$/, 'down'],
  [/_lora\.up\.weight$/, 'up'],
  [/_lora\.down\.weight$/, 'down'],
  [/\.alpha$/, 'alpha'],
  [/\.scalar$/, 'scalar'],
  [/\.dora_scale$/, 'dora_scale'],
  [new RegExp(`\\.lora_magnitude_vector${peft}`), 'magnitude_vector'],
  [/\.oft_(blocks|diag)$/, 'oft_blocks'],
  [/\.rescale$/, 'rescale'],
  [/\.on_input$/, 'on_input'],
  [/\.(diff|w_norm)$/, 'diff'],
  [/\.(diff_b|b_norm)$/, 'diff_bias'],
  [/\.set_weight$/, 'value'],
  [/\.set_bias$/, 'value_bias'],
];

/** Endings that are the part's name already. */
const ownNames: [RegExp, string][] = [
  [new RegExp(`\\.(hada_(?:w[12]_[ab]|t[12]))${adapter}$`), ''],
  [new RegExp(`\\.(lokr_(?:w[12](?:_[ab])?|t2))${adapter}$`), ''],
  [/\.(a1|a2|b1|b2|bm)\.weight$/, 'glora_'],
];

/** Kinds of updates that are known and not applied, by what only their keys hold. */
const unsupported: [RegExp, string][] = [
  [/\.oft_[rR]\b/, "PEFT's OFT"],
  [/\.boft_[RsS]\b/, "PEFT's BOFT"],
  [/\.ia3_l\b/, "PEFT's IA3"],
  [/\.vera_lambda_/, 'VeRA'],
  [/\.hra_u\b/, 'HRA'],
  [/\.randlora_(lambda|gamma|A|B)\b/, 'RandLoRA'],
  [/\.vblora_(logits|vector_bank)/, 'VB-LoRA'],
  [/\.fourierft_spectrum\b/, 'FourierFT'],
  [/\.waveft_spectrum\b/, 'WaveFT'],
  [/\.shira_weight\b/, 'SHiRA'],
  [/\.(bone|miss)_block\b/, 'MiSS (Bone)'],
  [/\.c3a_kernel\b/, 'C3A'],
  [/\.road_(theta|alpha)\b/, 'RoAd'],
  [/\.ln_tuning_layers\b/, 'tuning of norms (LNTuning)'],
  [/\btrainable_tokens_delta\b/, 'trained tokens'],
  [/\.modules_to_save\b/, 'whole modules beside the updates (modules_to_save)'],
  [/^bundle_emb\./, 'embeddings in the file (bundle_emb)'],
  [/\.lora_embedding_[AB]\b/, 'LoRA of token embeddings'],
  [/\.lokr_t1\b/, 'LoKr with a core of its first factor'],
  [/\.bias_(indices|values|size)$/, 'sparse differences of biases'],
  [/\.reshape_weight$/, 'Control LoRA'],
];

/** The kinds of updates that are named and not supported. */
export function nameUnsupported(keys: readonly string[]): string[] {
  return unsupported.filter(([pattern]) => keys.some((key) => pattern.test(key))).map(([, name]) => name);
}

/** The modules by name, and the keys of which nothing is known. */
export function readKeys(tensors: Tensors): { modules: Map<string, LoraModule>; others: string[] } {
  const modules = new Map<string, LoraModule>();
  const others: string[] = [];
  for (const [key, view] of tensors) {
    const found = readKey(key) ?? readScaling(key, tensors);
    if (!found) {
      others.push(key);
      continue;
    }
    const name = plainModule(found.module);
    const module = modules.get(name) ?? new Map<LoraPart, LoraTensor>();
    if (module.has(found.part)) others.push(key);
    else modules.set(name, module.set(found.part, { key, view }));
  }
  return { modules, others };
}

function readKey(key: string): { module: string; part: LoraPart } | undefined {
  for (const [ending, part] of endings)
    if (ending.test(key)) return { module: key.replace(ending, ''), part };
  for (const [ending, prefix] of ownNames) {
    const name = ending.exec(key)?.[1];
    if (name !== undefined) return { module: key.replace(ending, ''), part: (prefix + name) as LoraPart };
  }
  return undefined;
}

/** IA3 calls its vector "weight", as models call their weights: only its second key tells. */
function readScaling(key: string, tensors: Tensors): { module: string; part: LoraPart } | undefined {
  const module = key.replace(/\.weight$/, '');
  return module !== key && tensors.has(`${module}.on_input`) ? { module, part: 'ia3' } : undefined;
}

/** diffusers' first LoRAs hung below attention processors: "attn1.processor.to_q", "attn1.processor.to_out". */
function plainModule(module: string): string {
  return module.replace(/\.processor\.to_out$/, '.to_out.0').replace(/\.processor\.(to_\w+)$/, '.$1');
}

/** True for a file of updates: most of its keys are parts of them. */
export function isLora(tensors: Tensors): boolean {
  let parts = 0;
  for (const key of tensors.keys()) if (readKey(key) ?? readScaling(key, tensors)) parts++;
  const named = parts > 0 ? parts : nameUnsupported([...tensors.keys()]).length;
  return named > 0 && named * 4 > tensors.size;
}
