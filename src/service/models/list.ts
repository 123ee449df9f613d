// Lists the models that requests can name, for GET /models and the tool list_models.
import type { ModelFiles, ModelPlan } from '../../families/types.js';
import { type Capability, catalog, guardVariable, maxSideOf, POCKET } from '../../registry/catalog.js';
import { listLooseModels } from '../../registry/locate.js';
import { howToGet, isUnlocked, listMissing, resolveModel } from '../../registry/resolve-model.js';
import type { Config } from '../../shared/config.js';

export interface ModelDescription {
  key: string;
  name: string;
  /** Id of the model card on the Hugging Face hub. */
  hub_id: string | null;
  operations: readonly Capability[];
  default_steps: number | null;
  default_guidance: number | null;
  default_width: number | null;
  default_height: number | null;
  /** Largest width and height. */
  max_side: number;
  est_memory: string | null;
  quality: string | null;
  /** The setting that unlocks it. */
  guard: 'ALLOW_FLUX' | 'ALLOW_KLEIN' | null;
  guard_reason: string | null;
  /** Not guarded, or unlocked. */
  allowed: boolean;
  /** Every file is on this disk. */
  available: boolean;
  /** How to get what is missing. */
  hint: string | null;
  default: boolean;
}

type MakePlan = (files: ModelFiles) => Promise<ModelPlan>;

export async function listModels(
  config: Config,
  plan: MakePlan,
  defaultModel: string,
): Promise<ModelDescription[]> {
  const known = catalog.map((entry): ModelDescription => {
    const { key, title, hubId, operations, guard, defaults, memory, quality } = entry;
    const available = listMissing(entry, config).length === 0;
    return {
      key,
      name: title,
      hub_id: hubId,
      operations,
      default_steps: defaults.steps ?? null,
      default_guidance: defaults.guidance ?? null,
      default_width: defaults.width ?? null,
      default_height: defaults.height ?? null,
      max_side: maxSideOf(entry, config),
      est_memory: memory,
      quality,
      guard: guard ? guardVariable(guard) : null,
      guard_reason: guard?.reason ?? null,
      allowed: isUnlocked(entry, config),
      available,
      hint: available ? null : howToGet(entry, config),
      default: key === defaultModel,
    };
  });
  const names = [POCKET, ...listLooseModels(config).map(({ name }) => name)];
  const files = await Promise.all(
    names.map((name) => describeFile(name, config, plan, name === defaultModel)),
  );
  return [...files.slice(0, 1), ...known, ...files.slice(1)];
}

/** Describes a model that is one file. Its defaults come from the file itself. */
async function describeFile(
  name: string,
  config: Config,
  plan: MakePlan,
  isDefault: boolean,
): Promise<ModelDescription> {
  const model = resolveModel({ model: name }, config);
  const found = await plan(model.files).then(
    ({ defaults, name: title }) => ({ defaults, title, problem: null }),
    (error: Error) => ({ defaults: undefined, title: name, problem: error.message }),
  );
  return {
    key: name,
    name: found.title ?? name,
    hub_id: null,
    operations: ['text2img', 'img2img', 'inpaint'],
    default_steps: found.defaults?.steps ?? null,
    default_guidance: found.defaults?.guidance ?? null,
    default_width: found.defaults?.width ?? null,
    default_height: found.defaults?.height ?? null,
    max_side: model.maxSide,
    est_memory: null,
    quality: null,
    guard: null,
    guard_reason: null,
    allowed: true,
    available: found.problem === null,
    hint: found.problem,
    default: isDefault,
  };
}
