// Finds tiny autoencoders on this disk: the one for a model by its published name, or any file that a request names.
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
import { listFolder, type NamedFolders, type NamedKind, resolveNamed } from './named-files.js';

export const tinyAutoencoders: NamedKind = {
  what: 'tiny autoencoder',
  field: 'tae',
  example: 'taesd_decoder.safetensors',
  // the folder's name in ComfyUI
  folders: ({ modelDir }) => [path.join(modelDir, 'vae_approx'), modelDir],
  endings: ['.safetensors'],
};

/** What a request says about a tiny autoencoder. */
export interface TinyOptions {
  /** A file, or a name in the folders. */
  tae?: string | undefined;
  fastDecode: boolean;
  previewEvery: number;
}

export interface ChosenTiny {
  path: string;
  plan: TinyAutoencoderPlan;
  /** Tells people why it may be the wrong one. */
  notes: string[];
}

/**
 * Finds the tiny autoencoder that the request names, else the one for this model if it is on this disk.
 * @throws ImageForgeError NOT_FOUND if the finished picture needs one and there is none, WEIGHTS_INVALID for one of
 *   another family.
 */
export async function chooseTinyAutoencoder(
  { tae, fastDecode, previewEvery }: TinyOptions,
  plan: ModelPlan,
  config: Config,
): Promise<ChosenTiny | undefined> {
  const name = nameTinyAutoencoder(plan);
  if (tae !== undefined) {
    const file = resolveNamed(tinyAutoencoders, tae, config);
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
        : `Put ${name}_decoder.safetensors (madebyollin/${name} on the Hugging Face hub) into ${tinyAutoencoders.folders(config)[0]}, or name it with --tae FILE.`,
    details: { field: 'fast_decode' },
  });
}

/**
 * Files that may hold the tiny autoencoder of this name ('taesd'), the likeliest first: files of that name in the folders,
 * then files of its repository in the Hugging Face caches. Files with the encoder alone are left out.
 */
export function findTinyAutoencoders(name: string, folders: ModelFolders & NamedFolders): string[] {
  const own = tinyAutoencoders.folders(folders).flatMap((folder) =>
    listFolder(folder)
      .filter((file) => /\.(safetensors|gguf)$/.test(file))
      .filter((file) => readTinyName(file) === name && !/encoder/i.test(file.replace(/autoencoder/i, '')))
      .map((file) => path.join(folder, file)),
  );
  const published = ['diffusion_pytorch_model.safetensors', `${name}_decoder.safetensors`]
    .flatMap((file) => locateHubFile({ repo: `madebyollin/${name}`, path: file }, folders) ?? [])
    // the model folder is also searched for the base name, which could be any model's
    .filter((file) => file.includes(name));
  return [...new Set([...own, ...published])];
}
