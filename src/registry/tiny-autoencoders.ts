// Tiny autoencoders on this disk: the one that belongs to a model is found by its name, as upscalers are, and any file
// can be named.
import { readdirSync } from 'node:fs';
import path from 'node:path';
import {
  nameTinyAutoencoder,
  planTinyAutoencoder,
  readTinyName,
  type TinyAutoencoderPlan,
} from '../families/tiny-autoencoder.js';
import type { ModelPlan } from '../families/types.js';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import { locateHubFile, type ModelFolders } from './locate.js';
import { findNamed, isFile } from './named-files.js';

type Folders = Pick<Config, 'modelDir'>;

/** Where tiny autoencoders are looked for, before the model folder itself; ComfyUI's name for it. */
export function tinyAutoencoderFolder({ modelDir }: Folders): string {
  return path.join(modelDir, 'vae_approx');
}

/** What a request says about it. */
export interface TinyWish {
  /** A file, or a name in the folders. */
  tae?: string | undefined;
  fastDecode: boolean;
  previewEvery: number;
}

export interface ChosenTiny {
  path: string;
  plan: TinyAutoencoderPlan;
  /** For people: why it may be the wrong one. */
  notes: string[];
}

/**
 * The tiny autoencoder that the request names, else the one of this model that lies on this disk.
 * @throws ImageForgeError NOT_FOUND where the finished picture needs one and there is none, WEIGHTS_INVALID for one of
 *   another family.
 */
export async function chooseTinyAutoencoder(
  { tae, fastDecode, previewEvery }: TinyWish,
  plan: ModelPlan,
  config: Config,
): Promise<ChosenTiny | undefined> {
  const name = nameTinyAutoencoder(plan);
  if (tae !== undefined) {
    const file = resolveTinyAutoencoder(tae, config);
    const tiny = await planTinyAutoencoder(file, plan);
    const other = tiny.called !== undefined && tiny.called !== name;
    const doubt = `${file} is called ${tiny.called}, which is not made for this model: its colours may be wrong.`;
    return { path: file, plan: tiny, notes: other ? [doubt] : [] };
  }
  if (!fastDecode && previewEvery === 0) return undefined;
  for (const file of name === undefined ? [] : findTinyAutoencoders(name, config)) {
    const tiny = await planTinyAutoencoder(file, plan).catch(() => undefined);
    if (tiny) return { path: file, plan: tiny, notes: [] };
  }
  if (!fastDecode) return undefined;
  throw new ImageForgeError('NOT_FOUND', 'fast_decode: there is no tiny autoencoder for this model.', {
    hint:
      name === undefined
        ? 'Name one that was made for it with --tae FILE.'
        : `Put ${name}_decoder.safetensors (madebyollin/${name} on the Hugging Face hub) into ${tinyAutoencoderFolder(config)}, or name it with --tae FILE.`,
    details: { field: 'fast_decode' },
  });
}

/**
 * Files that may hold the tiny autoencoder of this name ('taesd'), the likeliest first: those of the folders that are
 * called so, then what the Hugging Face caches have of its repository. An encoder's file decodes nothing.
 */
export function findTinyAutoencoders(name: string, folders: ModelFolders): string[] {
  const own = [tinyAutoencoderFolder(folders), folders.modelDir].flatMap((folder) =>
    listWeights(folder)
      .filter((file) => readTinyName(file) === name && !/encoder/i.test(file.replace(/autoencoder/i, '')))
      .map((file) => path.join(folder, file)),
  );
  const published = ['diffusion_pytorch_model.safetensors', `${name}_decoder.safetensors`]
    .flatMap((file) => locateHubFile({ repo: `madebyollin/${name}`, path: file }, folders) ?? [])
    // the model folder is searched for its base name too, which says nothing
    .filter((file) => file.includes(name));
  return [...new Set([...own, ...published])];
}

/** A file inside of the folders; names don't lead out of them. */
export function findTinyFile(name: string, folders: Folders): string | undefined {
  return findNamed(name, [tinyAutoencoderFolder(folders), folders.modelDir]);
}

/** @throws ImageForgeError NOT_FOUND that names the folder. */
export function resolveTinyAutoencoder(
  name: string,
  config: Pick<Config, 'modelDir' | 'workingDir'>,
): string {
  const direct = path.resolve(config.workingDir, name);
  const file = isFile(direct) ? direct : findTinyFile(name, config);
  if (file !== undefined) return file;
  throw missingTinyAutoencoder(name, config);
}

export function missingTinyAutoencoder(name: string, config: Folders): ImageForgeError {
  const folder = tinyAutoencoderFolder(config);
  return new ImageForgeError(
    'NOT_FOUND',
    `There is no tiny autoencoder ${name}, neither as a file nor in ${folder}.`,
    {
      hint: `Name a file such as taesd_decoder.safetensors, or put it into ${folder}.`,
      details: { tae: name, folder },
    },
  );
}

function listWeights(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((file) => /\.(safetensors|gguf)$/.test(file))
      .sort();
  } catch {
    return [];
  }
}
