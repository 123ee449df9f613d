// A LoRA file on a model: which tensor of which network each pair of factors updates. What finds no place is counted
// and named; what doesn't fit is refused, since then the file was made for another family.
import type { Lora, LoraUpdate } from '../native/addon.js';
import { ImageForgeError } from '../shared/errors.js';
import { readFloats } from '../weights/read-floats.js';
import { guessBase, type LoraPair, nameKinds, pairKeys } from './lora-keys.js';
import { type LoraTarget, listLoraTargets } from './lora-targets.js';
import { openSources, type WeightSource } from './sources.js';
import { sliceRows, type TensorView, toWeights } from './tensors.js';
import type { ModelPlan } from './types.js';

export interface ResolvedLora {
  path: string;
  /** Absent where the file updates nothing of the network. */
  denoiser?: Lora;
  /** In the order of plan.textEncoders. */
  textEncoders: (Lora | undefined)[];
  /** Updated modules. */
  matched: number;
  /** Keys of the file that have no place in this model or no known form. */
  unknown: string[];
  /** Kinds of updates among them that are known and not supported: "LoHa", "DoRA" … */
  unsupported: string[];
}

/**
 * Reads a LoRA (kohya, diffusers, PEFT, LyCORIS LoCon names) against a model's plan.
 * @throws ImageForgeError of readWeightFile; WEIGHTS_INVALID where it was made for another family.
 */
export async function resolveLora(path: string, plan: ModelPlan, strength: number): Promise<ResolvedLora> {
  const [source] = await openSources({ model: path });
  const { pairs, others } = pairKeys(source!.tensors);
  const unsupported = nameKinds(others);
  if (pairs.size === 0) {
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `${path} is not a LoRA: it has no pairs of low-rank factors`,
      {
        hint:
          unsupported.length > 0
            ? `It is a ${unsupported.join(' and ')}; LoRA and LoCon are supported.`
            : `\`imageforge models inspect ${path}\` shows what it is.`,
        details: { file: path },
      },
    );
  }
  // without its core a Tucker update is another one
  const tucker = new Set(others.flatMap((key) => key.match(/^(.*)\.lora_mid\./)?.[1] ?? []));
  const targets = listLoraTargets(plan);
  const shapes = listShapes(plan);
  const unknown = [...others];
  const updates = new Map<LoraTarget['network'], Update[]>();
  let matched = 0;
  for (const [module, pair] of pairs) {
    const target = targets.get(module);
    if (!target || !pair.up || !pair.down || tucker.has(module)) {
      unknown.push(...pair.keys);
      continue;
    }
    checkFit(path, module, pair, target, shapes);
    const list = updates.get(target.network) ?? [];
    list.push(...makeUpdates(module, pair as WholePair, target, await readScale(source!, module, pair)));
    updates.set(target.network, list);
    matched++;
  }
  if (updates.size === 0) {
    const base = guessBase(pairs);
    throw new ImageForgeError(
      'WEIGHTS_INVALID',
      `${path}: none of its ${pairs.size} modules (${[...pairs.keys()][0]}, …) is part of this ${plan.family} model: it was made for another family${base ? ` (${base})` : ''}`,
      {
        hint: 'Use a LoRA that was trained on this kind of model; `imageforge models inspect FILE` tells what one is for.',
        details: { file: path, family: plan.family },
      },
    );
  }
  const toLora = (network: LoraTarget['network']) => makeLora(updates.get(network), strength);
  const denoiser = toLora('denoiser');
  return {
    path,
    ...(denoiser && { denoiser }),
    textEncoders: plan.textEncoders.map((_, index) => toLora(index)),
    matched,
    unknown,
    unsupported,
  };
}

type WholePair = LoraPair & { up: TensorView; down: TensorView };

/** An update and the factors that its names stand for. */
interface Update {
  update: LoraUpdate;
  up: TensorView;
  down: TensorView;
}

function makeUpdates(module: string, { up, down }: WholePair, target: LoraTarget, scale: number): Update[] {
  const make = (name: string, factor: TensorView, row?: number): Update => ({
    update: {
      target: target.tensor,
      up: name,
      down: `${module}.down`,
      scale,
      ...(row !== undefined && { row }),
    },
    up: factor,
    down,
  });
  if (!target.swapped) return [make(`${module}.up`, up, target.row)];
  const half = Math.floor((up.shape[0] ?? 0) / 2);
  return [
    make(`${module}.up.0`, sliceRows(up, 0, half), half),
    make(`${module}.up.1`, sliceRows(up, half, half), 0),
  ];
}

function makeLora(list: Update[] | undefined, strength: number): Lora | undefined {
  if (!list) return undefined;
  const tensors = new Map<string, TensorView>();
  for (const { update, up, down } of list) {
    tensors.set(update.up, up);
    tensors.set(update.down, down);
  }
  return { weights: toWeights(tensors), updates: list.map(({ update }) => update), strength };
}

type Shapes = Map<LoraTarget['network'], Map<string, number[]>>;

/** Shapes of whole tensors, parts of one put together. */
function listShapes(plan: ModelPlan): Shapes {
  const networks = [['denoiser', plan.denoiser] as const, ...plan.textEncoders.entries()];
  return new Map(
    networks.map(([network, { weights }]) => {
      const shapes = new Map<string, number[]>();
      for (const { name, shape } of weights.tensors) {
        const [rows = 1, ...rest] = shape;
        shapes.set(name, [rows + (shapes.get(name)?.[0] ?? 0), ...rest]);
      }
      return [network, shapes];
    }),
  );
}

/** up [out, rank, 1, 1], down [rank, in, kh, kw] on a weight [out, in, kh, kw]; kernels of 1 may be left out. */
function checkFit(
  path: string,
  module: string,
  { up, down }: LoraPair,
  target: LoraTarget,
  shapes: Shapes,
): void {
  const weight = shapes.get(target.network)!.get(target.tensor)!;
  const [rows, ...inputs] = withoutTrailingOnes(weight, 2);
  const [rank, ...downInputs] = withoutTrailingOnes(down!.shape, 2);
  const [outputs, upRank] = withoutTrailingOnes(up!.shape, 2);
  const expected = target.rows ?? rows;
  if (rank === upRank && outputs === expected && String(downInputs) === String(inputs)) return;
  throw new ImageForgeError(
    'WEIGHTS_INVALID',
    `${path}: ${module} has the factors [${up!.shape}] and [${down!.shape}], but ${target.tensor} is [${weight}]: the LoRA was made for another family or size of model`,
    {
      hint: 'Use a LoRA that was trained on this kind of model.',
      details: { file: path, tensor: module, up: up!.shape, down: down!.shape, expected: weight },
    },
  );
}

function withoutTrailingOnes(shape: number[], least: number): number[] {
  let length = shape.length;
  while (length > least && shape[length - 1] === 1) length--;
  return shape.slice(0, length);
}

/** alpha / rank; 1 where no alpha is given. */
async function readScale(source: WeightSource, module: string, { alpha, down }: LoraPair): Promise<number> {
  const rank = down!.shape[0] ?? 1;
  const value = alpha ? (await readFloats(alpha))[0] : adapterAlpha(source, module);
  if (value === undefined) return 1;
  if (!Number.isFinite(value)) {
    throw new ImageForgeError('WEIGHTS_INVALID', `${source.label}: ${module}.alpha is ${value}`, {
      details: { file: source.label },
    });
  }
  return value / rank;
}

/** diffusers writes PEFT's settings into the metadata: {"unet.lora_alpha": 8, …}. */
function adapterAlpha(source: WeightSource, module: string): number | undefined {
  const text = source.metadata.get('lora_adapter_metadata');
  if (typeof text !== 'string') return undefined;
  try {
    const settings = JSON.parse(text) as Record<string, unknown>;
    const value = settings[`${module.split('.')[0]}.lora_alpha`] ?? settings.lora_alpha;
    return typeof value === 'number' ? value : undefined;
  } catch {
    return undefined;
  }
}
