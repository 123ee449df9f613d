// The low-rank updates on a loaded model: resolved when a request names others than the one before, then set on each
// network, loaded already or later.
import { type ResolvedLora, resolveLora } from '../families/lora.js';
import type { ModelPlan } from '../families/types.js';
import type { Lora, Module } from '../native/addon.js';
import type { PipelineRequest } from './types.js';

type Wanted = NonNullable<PipelineRequest['loras']>;
/** Which network: the denoiser, or a text encoder by its place in the plan. */
export type LoraTarget = 'denoiser' | number;

export class LoraSet {
  /** Equal for equal updates. */
  readonly key: string;
  /** For people: what of the files found no place in the model. */
  readonly notes: string[];
  readonly #resolved: ResolvedLora[];

  private constructor(key: string, resolved: ResolvedLora[]) {
    this.key = key;
    this.notes = resolved.flatMap((lora) => (lora.unknown.length > 0 ? describeUnknown(lora) : []));
    this.#resolved = resolved;
  }

  static readonly none = new LoraSet(keyOf([]), []);

  /** @throws ImageForgeError where a file cannot be read or was made for another family. */
  static async resolve(wanted: Wanted, plan: ModelPlan): Promise<LoraSet> {
    const resolved: ResolvedLora[] = [];
    for (const { path, strength } of wanted) resolved.push(await resolveLora(path, plan, strength));
    return new LoraSet(keyOf(wanted), resolved);
  }

  matches(wanted: Wanted): boolean {
    return this.key === keyOf(wanted);
  }

  async applyTo(module: Module, target: LoraTarget): Promise<void> {
    await module.setLoras(this.#resolved.flatMap((lora) => pick(lora, target) ?? []));
  }

  get isEmpty(): boolean {
    return this.#resolved.length === 0;
  }
}

const namedKeys = 5;

function describeUnknown({ path, unknown, unsupported, matched }: ResolvedLora): string {
  const kinds = unsupported.length > 0 ? `; ${unsupported.join(' and ')} is not supported` : '';
  const names = unknown.slice(0, namedKeys).join(', ') + (unknown.length > namedKeys ? ', …' : '');
  return (
    `The LoRA ${path} was applied in part: ${unknown.length} keys have no place in this model (${names})${kinds}; ` +
    `${matched} modules have.`
  );
}

function pick({ denoiser, textEncoders }: ResolvedLora, target: LoraTarget): Lora | undefined {
  return target === 'denoiser' ? denoiser : textEncoders[target];
}

function keyOf(wanted: Wanted): string {
  return JSON.stringify(wanted.map(({ path, strength }) => [path, strength]));
}
