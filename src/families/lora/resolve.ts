// A LoRA file on a model: which tensor of which network each of its modules changes, and how. What finds no place is
// counted and named; what doesn't fit is refused, since then the file was made for another model.
import type { Lora, LoraUpdate, WeightChange } from '../../native/addon.js';
import { ImageForgeError } from '../../shared/errors.js';
import { openSources, type WeightSource } from '../sources.js';
import { sliceRows, type TensorView, toWeights } from '../tensors.js';
import type { ModelPlan } from '../types.js';
import { type ModuleChange, type ModuleShape, readChanges } from './changes.js';
import { guessBase } from './describe.js';
import { checkFactors, checkFit, listShapes, moduleShape } from './fit.js';
import { type LoraModule, nameUnsupported, readKeys } from './keys.js';
import { type LoraSettings, readNumber, readScale, readSettings } from './settings.js';
import type { LoraTarget } from './target.js';
import { listLoraTargets } from './targets.js';

export interface LoraStrengths {
  /** Of what it changes in the denoiser; text encoders have the same unless `text` says otherwise. */
  denoiser: number;
  text?: number | undefined;
}

export interface ResolvedLora {
  path: string;
  /** Absent where the file updates nothing of the network. */
  denoiser?: Lora;
  /** In the order of plan.textEncoders. */
  textEncoders: (Lora | undefined)[];
  /** Modules that found their place. */
  matched: number;
  /** Keys of the file that have no place in this model or no known form. */
  unknown: string[];
  /** Kinds of updates among them that are known and not supported. */
  unsupported: string[];
}

/**
 * Reads a LoRA or one of its kin against a model's plan.
 * @throws ImageForgeError of readWeightFile; WEIGHTS_INVALID where it was made for another model, UNSUPPORTED where all
 * of it is of a kind that is named and not applied.
 */
export async function resolveLora(
  path: string,
  plan: ModelPlan,
  strengths: LoraStrengths,
): Promise<ResolvedLora> {
  const [source] = await openSources({ model: path });
  const { modules, others } = readKeys(source!.tensors);
  const unsupported = nameUnsupported(others);
  if (modules.size === 0) throw refuseWithoutModules(path, unsupported);
  const settings = readSettings(source!);
  const targets = listLoraTargets(plan);
  const shapes = listShapes(plan);
  const unknown = [...others];
  const networks = new Map<LoraTarget['network'], NetworkChanges>();
  let matched = 0;
  for (const [name, module] of modules) {
    const target = targets.get(name);
    if (!target) {
      unknown.push(...keysOf(module));
      continue;
    }
    const shape = moduleShape(target, shapes.get(target.network)!.get(target.tensor)!);
    const { changes, left } = readChanges(module, shape, (await readNumber(module.get('on_input'))) === 1);
    unknown.push(...left.map(({ key }) => key));
    const network = networks.get(target.network) ?? new NetworkChanges();
    for (const change of changes) {
      const tensor = change.to === 'bias' ? target.bias : target.tensor;
      if (tensor === undefined) {
        unknown.push(...Object.values(change.factors).map(({ key }) => key));
        continue;
      }
      const own = change.to === 'bias' ? { rows: shape.rows, inputs: 1, taps: 1 } : shape;
      checkFactors(path, change);
      checkFit(path, name, change, { name: tensor, shape: own });
      network.add(change, { ...target, tensor }, await scaleOf(settings, name, module, change, own));
      networks.set(target.network, network);
    }
    if (changes.length > 0) matched++;
  }
  if (networks.size === 0) throw refuseStranger(source!, modules, plan);
  const toLora = (network: LoraTarget['network'], strength: number) =>
    strength === 0 ? undefined : networks.get(network)?.toLora(strength);
  const denoiser = toLora('denoiser', strengths.denoiser);
  return {
    path,
    ...(denoiser && { denoiser }),
    textEncoders: plan.textEncoders.map((_, index) => toLora(index, strengths.text ?? strengths.denoiser)),
    matched,
    unknown,
    unsupported,
  };
}

function keysOf(module: LoraModule): string[] {
  return [...module.values()].map(({ key }) => key);
}

interface Scale {
  scale: number;
  constraint?: number;
}

async function scaleOf(
  settings: LoraSettings,
  name: string,
  module: LoraModule,
  change: ModuleChange,
  { rows, taps }: ModuleShape,
): Promise<Scale> {
  if (!change.turns)
    return { scale: await readScale(settings, name, module, { rank: change.rank, isKernel: taps > 1 }) };
  // trainers count the limit of a turn in the weight's rows
  const limit = await readNumber(module.get('alpha'));
  return { scale: 1, ...(limit !== undefined && limit > 0 && { constraint: limit * rows }) };
}

/** What one file changes in one network. */
class NetworkChanges {
  readonly #tensors = new Map<string, TensorView>();
  readonly #updates: LoraUpdate[] = [];
  readonly #changes: WeightChange[] = [];

  add(change: ModuleChange, target: LoraTarget, scale: Scale): void {
    if (change.lowRank && !target.transposed) this.#addLowRank(change, target, scale.scale);
    else this.#addChange(change, target, scale);
  }

  #addLowRank(
    { factors: { a, b } }: ModuleChange,
    { tensor, row, swapped }: LoraTarget,
    scale: number,
  ): void {
    const up = a!;
    const down = this.#name(b!.key, b!.view);
    const push = (name: string, view: TensorView, first?: number) =>
      this.#updates.push({
        target: tensor,
        up: this.#name(name, view),
        down,
        scale,
        ...(first !== undefined && { row: first }),
      });
    if (!swapped) {
      push(up.key, up.view, row);
      return;
    }
    const half = Math.floor((up.view.shape[0] ?? 0) / 2);
    push(`${up.key} (first half)`, sliceRows(up.view, 0, half), half);
    push(`${up.key} (second half)`, sliceRows(up.view, half, half), 0);
  }

  #addChange({ kind, factors, magnitude, axis }: ModuleChange, target: LoraTarget, scale: Scale): void {
    const { tensor, row, rows, swapped, transposed } = target;
    const names = Object.entries(factors).map(
      ([part, { key, view }]) => [part, this.#name(key, view)] as const,
    );
    const along = magnitude?.axis ?? axis;
    this.#changes.push({
      target: tensor,
      kind,
      factors: Object.fromEntries(names),
      ...scale,
      ...(row !== undefined && { row }),
      ...(rows !== undefined && { rows }),
      ...(swapped && { swapped }),
      ...(transposed && { transposed }),
      ...(magnitude && { magnitude: this.#name(magnitude.tensor.key, magnitude.tensor.view) }),
      ...(along && { axis: along }),
    });
  }

  #name(key: string, view: TensorView): string {
    this.#tensors.set(key, view);
    return key;
  }

  toLora(strength: number): Lora {
    return {
      weights: toWeights(this.#tensors),
      updates: this.#updates,
      ...(this.#changes.length > 0 && { changes: this.#changes }),
      strength,
    };
  }
}

function refuseWithoutModules(path: string, unsupported: string[]): ImageForgeError {
  if (unsupported.length > 0)
    return new ImageForgeError(
      'UNSUPPORTED',
      `${path} is ${unsupported.join(' and ')}, which isn't applied`,
      {
        hint: 'LoRA, DoRA, LoHa, LoKr, OFT, BOFT, GLoRA, IA3 and differences are; docs/loras.md lists them.',
        details: { file: path, kinds: unsupported },
      },
    );
  return new ImageForgeError('WEIGHTS_INVALID', `${path} is not a LoRA: it has no updates of weights`, {
    hint: `\`imageforge models inspect ${path}\` shows what it is.`,
    details: { file: path },
  });
}

/** Nothing of the file has a place in the model: its names are others, or its updates are incomplete. */
function refuseStranger(
  source: WeightSource,
  modules: ReadonlyMap<string, LoraModule>,
  plan: ModelPlan,
): ImageForgeError {
  const targets = listLoraTargets(plan);
  const known = [...modules].find(([name]) => targets.has(name));
  if (known)
    return new ImageForgeError(
      'WEIGHTS_INVALID',
      `${source.label}: ${known[0]} has ${keysOf(known[1]).join(', ')}, which make up no update`,
      {
        hint: 'The file is incomplete, or of a kind that is not known; get it again, or another one.',
        details: { file: source.label, tensor: known[0] },
      },
    );
  const base = guessBase(modules);
  return new ImageForgeError(
    'WEIGHTS_INVALID',
    `${source.label}: none of its ${modules.size} modules (${[...modules.keys()][0]}, …) is part of this ${plan.family} model: it was made for another family${base ? ` (${base})` : ''}`,
    {
      hint: 'Use a LoRA that was trained on this kind of model; `imageforge models inspect FILE` tells what one is for.',
      details: { file: source.label, family: plan.family },
    },
  );
}
