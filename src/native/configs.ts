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

/** kind 'controlnet': ControlNet for such UNets, the original's names without prefix ("zero_convs.0.0.weight"). */
export interface ControlNetConfig extends Omit<UnetConfig, 'outChannels'> {
  /** Channels of the convolutions that look at the picture, at full size and after each of three halvings. */
  hintChannels: number[];
}

/** kind 'autoencoder': AutoencoderKL, LDM tensor names without prefix ("encoder.conv_in.weight"). */
export interface AutoencoderConfig {
  /** Channels of each level of the decoder, first (full resolution) to last. */
  channels: number[];
  /** Those of the encoder, where they are others (FLUX.2's small decoder). */
  encoderChannels?: number[];
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

/** kind 'tiny_autoencoder': TAESD, TAESDXL, TAEF1, TAEF2, their author's names ("decoder.3.conv.0.weight"). Either half may be missing. */
export interface TinyAutoencoderConfig {
  width: number;
  latentChannels: number;
  /** The blocks at the lowest resolution have a branch with group statistics (TAEF2). */
  pooled: boolean;
  /** Latents are packed and normalised (FLUX.2); "bn.running_mean" and "bn.running_var" come from the large autoencoder. */
  patchify?: boolean;
}

/** kind 'flux': the transformers of FLUX.1 and FLUX.2, BFL tensor names without prefix ("double_blocks.0.img_attn.qkv.weight"). */
export interface FluxConfig {
  /** 1: 2 x 2 patches made here, modulation in every block, GELU. 2: shared modulation, SwiGLU, no biases. */
  generation: 1 | 2;
  width: number;
  heads: number;
  doubleBlocks: number;
  singleBlocks: number;
  /** Hidden width of the feed-forward (of each half where it is gated). */
  mlpWidth: number;
  /** Width of an image token: 64 (FLUX.1: 16 channels x 2 x 2), 128 (FLUX.2). Kontext is the same; Fill has more. */
  inChannels: number;
  outChannels: number;
  contextWidth: number;
  /** Width of the pooled text vector ("vector_in"); 0 without one. */
  vectorWidth: number;
  /** Takes distilled guidance ("guidance_in"). */
  guidance: boolean;
  /** Rotary dimensions of a head by axis of the position ids; their sum is the head's size. */
  axes: number[];
  theta: number;
}

/** kind 't5': T5 v1.1 encoder, Hugging Face names ("shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"). */
export interface T5Config {
  width: number;
  layers: number;
  heads: number;
  headDim: number;
  /** Hidden width of the gated feed-forward. */
  intermediate: number;
  vocab: number;
  /** Relative position buckets, shared by all blocks from block 0. */
  buckets: number;
  maxDistance: number;
}

/**
 * kind 'causal_lm': Qwen3 and Mistral as text encoders, Hugging Face names without "model." ("embed_tokens.weight",
 * "layers.0.self_attn.q_proj.weight"). Only the layers that are used are in the table; neither the last norm nor the
 * language head is.
 */
export interface CausalLmConfig {
  width: number;
  /** Layers in the table. */
  layers: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  intermediate: number;
  vocab: number;
  theta: number;
  eps: number;
  /** RMS norm on each query and key head before the rotation ("self_attn.q_norm.weight"). */
  qkNorm: boolean;
  /** Rotation pairs are (2i, 2i + 1), as llama.cpp permutes Llama-type weights, instead of (i, i + headDim / 2). */
  ropeInterleaved: boolean;
}

/** kind 'rrdbnet': ESRGAN and Real-ESRGAN, Real-ESRGAN's names ("body.0.rdb1.conv1.weight"). */
export interface RrdbNetConfig {
  /** Channels between the blocks. */
  width: number;
  /** Channels that each convolution of a dense block adds. */
  growth: number;
  blocks: number;
  /** Sides of the pixel blocks that become channels before the first convolution: 1, 2 or 4. */
  shuffle: number;
  /** At the end, each doubles the size. */
  doublings: number;
}
