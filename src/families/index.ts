// The list of model families, and the one way from files to a plan: open them, find the networks by their tensors, ask
// the families whose denoiser it is.
import { ImageForgeError } from '../shared/errors.js';
import { type Family, type FoundModel, type PlanOptions, refuseStrangeParts } from './family.js';
import { type FoundNetwork, findNetworks } from './find-networks.js';
import { flux } from './flux/index.js';
import { flux2 } from './flux2/index.js';
import { denoisers, hasKind } from './networks/index.js';
import { refuseDenoiser, refuseWithoutDenoiser } from './refuse-model.js';
import type { FamilyRuntime } from './runtime.js';
import { sd1, sd2 } from './sd/index.js';
import { sdxl } from './sdxl/index.js';
import { nameModel, openSources } from './sources.js';
import type { ModelFiles, ModelPlan } from './types.js';

export const families: readonly Family[] = [sd1, sd2, sdxl, flux, flux2];

/**
 * Reads headers only. Throws WEIGHTS_UNREADABLE, WEIGHTS_INVALID or UNSUPPORTED for a file, MODEL_INCOMPLETE where a
 * part is missing, INVALID_ARGUMENT for one that the model doesn't have; the hint names the option or command that
 * brings it.
 */
export async function planModel(files: ModelFiles, options: PlanOptions = {}): Promise<ModelPlan> {
  const sources = await openSources(files);
  const networks = sources.flatMap(findNetworks);
  const denoiser = findDenoiser(networks);
  if (!denoiser) {
    const main = sources.find(({ part }) => part === 'model')!;
    const found = networks.filter(({ source }) => source.part === 'model');
    throw refuseWithoutDenoiser(main, found, families);
  }
  const family = familyOf(denoiser);
  if (!family) throw refuseDenoiser(denoiser, families);
  const { parts } = family;
  const name = nameModel(denoiser.source);
  const model: FoundModel = { name, denoiser, networks, sources, parts, options };
  family.requireTask?.(denoiser);
  refuseStrangeParts(family, model);
  return family.plan(model);
}

/** The denoiser that the model's own file brings; of several, the first that a family runs. */
export function findDenoiser(networks: readonly FoundNetwork[]): FoundNetwork | undefined {
  const found = networks.filter(({ kind, source }) => source.part === 'model' && hasKind(denoisers, kind));
  return found.find((denoiser) => familyOf(denoiser)) ?? found[0];
}

export function familyOf(denoiser: FoundNetwork): Family | undefined {
  return families.find(({ claims }) => claims(denoiser));
}

export function findFamily(id: string): Family {
  const family = families.find((family) => family.id === id);
  if (family) return family;
  throw new ImageForgeError('UNSUPPORTED', `No family of models is called ${id}.`);
}

/** What the pipeline asks while it runs a plan of this family. */
export function findRuntime(id: string): FamilyRuntime {
  return findFamily(id).runtime;
}
