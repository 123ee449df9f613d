// The configuration that each network kind takes, as families read it off a file's tensors. The native networks check
// every tensor's shape against it.

/** kind 'clip': CLIP and OpenCLIP text encoders, Hugging Face tensor names without prefix ("text_model.encoder.layers.0…"). */
export interface ClipConfig {
  width: number;
  layers: number;
  heads: number;
  intermediate: number;
  vocab: number;
  positions: number;
  activation: 'quick_gelu' | 'gelu';
  /** Id whose first occurrence marks the pooled state. */
  endToken: number;
  /** Width of the text projection ("text_projection.weight", [proj, width]); 0 without one. */
  projection: number;
  /** The file has the projection as OpenCLIP stores it, [width, proj]: pooled = state @ P. */
  projectionTransposed?: boolean;
}

/** kind 'unet': SD 1.x, 2.x, SDXL; LDM tensor names without prefix ("input_blocks.0.0.weight"). */
export interface UnetConfig {
  inChannels: number;
  outChannels: number;
  modelChannels: number;
  /** Channels of each level, first to last. */
  channels: number[];
  resBlocks: number;
  /** Transformer blocks of each level; 0 = no attention. */
  depth: number[];
  middleDepth: number;
  contextWidth: number;
  /** Either a fixed number of heads at every level or a fixed head size. */
  heads?: number;
  headDim?: number;
  linearProjection: boolean;
  normGroups: number;
  /** Width of the vector that is added to the timestep embedding (SDXL 2816); 0 without one. */
  vectorWidth: number;
}

/** kind 'autoencoder': AutoencoderKL, LDM tensor names without prefix ("encoder.conv_in.weight"). */
export interface AutoencoderConfig {
  /** Channels of each level, first (full resolution) to last. */
  channels: number[];
  resBlocks: number;
  latentChannels: number;
  /** latent = (z - shift) * scale */
  scale: number;
  shift: number;
  normGroups: number;
  quantConv: boolean;
  /** FLUX.2: 2 x 2 patches, normalised with the stored batch-norm statistics. */
  patchify?: boolean;
}
