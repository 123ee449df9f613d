// Confines the paths of a client's request: servers read files for clients only from the allowed folders.
import { controlNets } from '../../registry/control-nets.js';
import { findEmbedding } from '../../registry/embeddings.js';
import { loras as loraKind } from '../../registry/loras.js';
import type { NamedKind } from '../../registry/named-files.js';
import { tinyAutoencoders } from '../../registry/tiny-autoencoders.js';
import type { Config } from '../../shared/config.js';
import type { PictureSource } from '../pictures/source.js';
import type { ImageRequest } from './parse.js';
import { confineNamed, confinePath } from './paths.js';

/** Replaces every path of a client's request with a checked one. @throws ImageForgeError FORBIDDEN, NOT_FOUND. */
export function confineRequest(asked: ImageRequest, config: Config): ImageRequest {
  const pictures = [config.outputDir, ...config.allowedPaths];
  const own = [config.loraDir, config.embeddingDir].filter((folder) => folder !== '');
  const models = [config.modelDir, ...own, ...config.allowedPaths];
  const picture = (source: PictureSource | undefined) =>
    source && 'path' in source ? { path: confinePath(source.path, pictures, config) } : source;
  // A key has no separator and is not confined: it can only mean the catalogue or the model folder. The model from the
  // settings is not confined either, since clients send back the default model's name that they were given.
  const isKey = (name: string) =>
    name === config.model ||
    (!/[\\/]/.test(name) && !/\.(gguf|safetensors|ckpt|pt|pth|bin|json)$/i.test(name));
  const model = (name: string) => (isKey(name) ? name : confinePath(name, models, config));
  const named = (kind: NamedKind, name: string) => confineNamed(kind, name, models, config);
  const embedding = (name: string) => findEmbedding(name, config)?.file ?? confinePath(name, models, config);
  return {
    ...asked,
    model: asked.model === undefined ? undefined : model(asked.model),
    parts: Object.fromEntries(
      Object.entries(asked.parts).map(([part, name]) => [part, confinePath(name, models, config)]),
    ),
    loras: asked.loras.map((lora) => ({ ...lora, path: named(loraKind, lora.path) })),
    tae: asked.tae === undefined ? undefined : named(tinyAutoencoders, asked.tae),
    embeddings: asked.embeddings.map(embedding),
    init: picture(asked.init),
    mask: picture(asked.mask),
    control: asked.control && {
      ...asked.control,
      model: named(controlNets, asked.control.model),
      image: picture(asked.control.image)!,
    },
    references: asked.references?.map((source) => picture(source)!),
  };
}
