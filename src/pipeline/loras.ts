// The LoRAs on a loaded model: resolved when a request names others than the one before, then set on each network,
// whether it is loaded already or later.
import { type ResolvedLora, resolveLora } from '../families/lora/resolve.js';
import type { ModelPlan, NetworkPlan } from '../families/types.js';
import type { Lora, Module } from '../native/addon.js';
import { tensorTypes } from '../weights/tensor-types.js';
import type { LoraNeed } from './memory-mode.js';
import type { LoraRequest } from './types.js';

/** Which network: the denoiser, or a text encoder by its place in the plan. */
export type LoraTarget = 'denoiser' | number;

export class LoraSet {
  /** Equal for equal updates. */
  readonly key: string;
  /** For people: what in the files found no place in the model. */
  readonly notes: string[];
  /** Memory that they take beside the networks. */
  readonly need: LoraNeed;
  readonly #resolved: ResolvedLora[];

  private constructor(key: string, resolved: ResolvedLora[], need: LoraNeed) {
    this.key = key;
    this.notes = resolved.flatMap((lora) => (lora.unknown.length > 0 ? describeUnknown(lora) : []));
    this.need = need;
    this.#resolved = resolved;
  }

  static readonly none = new LoraSet(keyOf([]), [], { text: 0, denoiser: 0 });

  /** @throws ImageForgeError where a file cannot be read or was made for another family. */
  static async resolve(wanted: readonly LoraRequest[], plan: ModelPlan): Promise<LoraSet> {
    const resolved: ResolvedLora[] = [];
    for (const { path, strength, textStrength } of wanted)
      resolved.push(await resolveLora(path, plan, { denoiser: strength, text: textStrength }));
    return new LoraSet(keyOf(wanted), resolved, needOf(resolved, plan));
  }

  matches(wanted: readonly LoraRequest[]): boolean {
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

function keyOf(wanted: readonly LoraRequest[]): string {
  return JSON.stringify(
    wanted.map(({ path, strength, textStrength = strength }) => [path, strength, textStrength]),
  );
}

function needOf(resolved: readonly ResolvedLora[], plan: ModelPlan): LoraNeed {
  const bytesOf = (network: NetworkPlan, target: LoraTarget) =>
    loraBytes(
      network,
      resolved.flatMap((lora) => pick(lora, target) ?? []),
    );
  return {
    text: plan.textEncoders.reduce((sum, encoder, index) => sum + bytesOf(encoder, index), 0),
    denoiser: bytesOf(plan.denoiser, 'denoiser'),
  };
}

/** While a weight is changed, so many copies of it are there in F32. */
const COPIES = 3;

/** Factors of low-rank updates, changed weights (F16 at the least), and what changing the largest of them takes. */
function loraBytes({ weights }: NetworkPlan, loras: readonly Lora[]): number {
  const changed = new Set(loras.flatMap(({ changes = [] }) => changes.map(({ target }) => target)));
  const beside = new Set(loras.flatMap(({ updates }) => updates.flatMap(({ up, down }) => [up, down])));
  const sizes = new Map<string, { values: number; bytes: number }>();
  for (const { name, type, shape } of weights.tensors) {
    if (!changed.has(name)) continue;
    const values = shape.reduce((product, size) => product * size, 1);
    const each = shape.length < 2 || type === 'f32' || type === 'f64' ? 4 : 2;
    const { values: before, bytes } = sizes.get(name) ?? { values: 0, bytes: 0 };
    sizes.set(name, { values: before + values, bytes: bytes + values * each });
  }
  let sum = 0;
  let largest = 0;
  for (const { values, bytes } of sizes.values()) {
    sum += bytes;
    largest = Math.max(largest, values);
  }
  for (const lora of loras)
    for (const { name, type, shape } of lora.weights.tensors) {
      if (!beside.has(name)) continue;
      const { block, bytes } = tensorTypes.get(type)!;
      sum += (shape.reduce((product, size) => product * size, 1) / block) * bytes;
    }
  return sum + COPIES * 4 * largest;
}
