// How a network is found in a file: a tensor that only it has, and the way from the file's names to the network's own.
import type { Tensors, TensorView } from '../tensors.js';

export type NetworkKind =
  | 'unet'
  | 'flux'
  | 'controlnet'
  | 'autoencoder'
  | 'tiny_autoencoder'
  | 'clip'
  | 't5'
  | 'causal_lm'
  | 'rrdbnet';

export interface Layout {
  kind: NetworkKind;
  /** For people: whose names these are. */
  name: string;
  /** A name, without prefix, that is there whenever the network is. */
  marker: string;
  /** Other names must not be there for the marker to count. */
  unless?: string;
  /** From names without prefix to the network's own; what isn't the network's is left out. */
  rename(tensors: Tensors): Map<string, TensorView>;
}
