// The whole interface of the native addon. TypeScript decides, the addon computes. It takes a tensor table in the
// networks' own names, and checks every row of it again.

/** Codes that a native error carries in `.code`; a subset of ErrorCode in shared/errors.ts. */
export type NativeErrorCode =
  | 'INVALID_ARGUMENT'
  | 'UNSUPPORTED'
  | 'DEVICE_UNAVAILABLE'
  | 'OUT_OF_MEMORY'
  | 'WEIGHTS_UNREADABLE'
  | 'WEIGHTS_INVALID'
  | 'BUSY'
  | 'CLOSED'
  | 'ABORTED'
  | 'INTERNAL';

export interface NativeError extends Error {
  readonly code: NativeErrorCode;
}

/** Row-major (C order), last dimension fastest: a latent is [channels, height, width]. */
export interface Tensor {
  data: Float32Array;
  shape: number[];
}

/** 8-bit RGB, rows from the top, no padding: rgb.length === width * height * 3. */
export interface Pixels {
  /** The bytes: red, green and blue of each pixel. */
  rgb: Uint8Array;
  /** Pixels in a row. */
  width: number;
  /** Rows of pixels. */
  height: number;
}

/** Something that computes. */
export interface Device {
  /** 'cpu', 'cuda0', 'vulkan1', … */
  id: string;
  /** The backend that computes on it. */
  kind: 'cpu' | 'cuda' | 'metal' | 'vulkan';
  /** For people, as its maker calls it. */
  name: string;
  /** Bytes. */
  memoryTotal: number;
  /** Bytes. */
  memoryFree: number;
}

/** A GPU backend without a device, and why: "libggml-cuda.so doesn't load: …". */
export interface SilentBackend {
  kind: 'cuda' | 'metal' | 'vulkan';
  reason: string;
}

/** One row of the tensor table. `shape` is in PyTorch order (slowest first); `type` is ggml's name, lower case. */
export interface TensorEntry {
  name: string;
  file: number;
  offset: number;
  type: string;
  shape: number[];
  /** A quantised kernel [out, in, k, k] whose values lie as [out, k · k, in]. */
  tapsFirst?: true;
  /** Every value is multiplied by this when it is loaded. */
  scale?: number;
  /** Every block of values is multiplied by its own factor. */
  scales?: ScaleTable;
  /** ConvRot: groups of so many values of a row are rotated by a Hadamard matrix. */
  rotation?: number;
  /** The blocks of a quantised tensor run on from row to row; so many values of the first one aren't this tensor's. */
  skip?: number;
  /** Entries of one name with `row` make up one tensor (q, k and v of a fused matrix): its first row that this one fills. */
  row?: number;
}

/** Where the factors of a matrix lie, one for each block of it. */
export interface ScaleTable {
  file: number;
  offset: number;
  /** A floating-point type, or 'f8_e8m0'. */
  type: string;
  /** Of the table. */
  rows: number;
  columns: number;
  /** Values that one factor is for. */
  blockRows: number;
  blockColumns: number;
  /** The table lies in tiles of 128 x 4, as tensor cores read it. */
  tiled?: boolean;
  /** The row of the table's matrix at which the tensor begins. */
  firstRow?: number;
}

/** Where a network finds its tensors. */
export interface Weights {
  files: string[];
  tensors: TensorEntry[];
}

/** One low-rank update of the network's tensor `target`; up and down name rows of `weights`. */
export interface LoraUpdate {
  target: string;
  up: string;
  down: string;
  /** alpha / rank, without the strength. */
  scale: number;
  /** First output row of the target that it updates (fused qkv matrices). */
  row?: number;
}

/**
 * A change that is computed from the weight W itself; the changed weight then takes its place. Matrices that files keep
 * in two factors, or with a core between them (Tucker), have the parts a, b and core, or at where a lies transposed.
 */
export interface WeightChange {
  target: string;
  /**
   * product: W + a core b. hadamard: W + product 1 * product 2. kronecker: W + product 1 ⊗ product 2. generalised:
   * W + W a1 a2 + b1 core b2. rotation: R W, with `blocks` and `rescale`. scaling: W + W * a along `axis`. value: a.
   */
  kind: 'product' | 'hadamard' | 'kronecker' | 'generalised' | 'rotation' | 'scaling' | 'value';
  /** Rows of `weights` by the part that they play. */
  factors: Record<string, string>;
  /** alpha / rank, without the strength. */
  scale: number;
  /** The first row of the target that it changes, and how many; default: all. */
  row?: number;
  rows?: number;
  /** The two halves of the target's rows stand in the other order. */
  swapped?: true;
  /** The target is the transposed of what is changed. */
  transposed?: true;
  /** DoRA: names how long the rows or columns of the changed weight are. */
  magnitude?: string;
  /** Of the magnitude or the scaling. */
  axis?: 'rows' | 'columns';
  /** The longest that a rotation's blocks may be, all together. */
  constraint?: number;
}

export interface Lora {
  weights: Weights;
  updates: LoraUpdate[];
  changes?: WeightChange[];
  strength: number;
}

export interface Memory {
  /** Bytes of weights in allocated buffers, mapped files not counted. */
  weights: number;
  /** Bytes of weights used in place from mapped files. */
  mapped: number;
  /** Bytes of compute buffers, and of the buffers for streamed weights. */
  compute: number;
  /** Bytes of working memory of the CPU kernels, for all engines in this process. */
  scratch: number;
  deviceFree: number;
}

export interface EngineOptions {
  /** An id from devices(); 'cpu' always exists. */
  device: string;
  threads?: number;
  flashAttention?: boolean;
  /**
   * Bytes of compute buffer that an autoencoder may use before it switches to tiles. Default: 640 MiB on the CPU
   * (512 x 512 in one piece), the free memory on other devices.
   */
  autoencoderBytes?: number;
  onLog?: (level: 'debug' | 'info' | 'warn' | 'error', message: string) => void;
}

export interface LoadOptions {
  /** Weights are in memory only while they are needed. */
  stream?: boolean;
  /** Share of the streamed weights that stays in memory, 0 … 1; default 0. */
  keep?: number;
}

export interface Module {
  /** Bytes of weights, mapped or not. */
  readonly bytes: number;
  setLoras(loras: Lora[]): Promise<void>;
  /** For idle times: mapped weights leave resident memory, while the file cache keeps them. */
  rest(): void;
  close(): Promise<void>;
}

export interface TextEncoder extends Module {
  /**
   * Encodes one row of token ids to hidden states [tokens, width]. `layers` counts the blocks that have run, so the
   * number of all blocks is the last state. `norm` applies the final norm to each state. Pooled is the final-norm state at the end
   * token (CLIP), through the text projection where the network has one and `project` isn't false. `embeddings`
   * [n, width] are vectors of textual inversion (CLIP): token `vocab + i` stands for row i.
   */
  encode(
    tokens: Int32Array,
    options?: {
      layers?: number[];
      norm?: boolean;
      project?: boolean;
      mask?: Uint8Array;
      embeddings?: Tensor;
    },
  ): Promise<{ hidden: Tensor[]; pooled?: Tensor }>;
}

/** A denoiser's conditioning, uploaded once. The prompt's keys and values are computed here. */
export interface Conditioning {
  close(): void;
}

export interface ConditioningInputs {
  /** Text states [tokens, width]. */
  context: Tensor;
  /** Pooled vector [width] (SDXL, FLUX.1). */
  vector?: Tensor;
  /** Distilled guidance (FLUX dev). */
  guidance?: number;
  /** Extra latent channels [c, h, w], e.g. mask and masked image of inpainting networks. */
  concat?: Tensor;
  /** Reference latents (FLUX Kontext, FLUX.2). */
  references?: Tensor[];
}

export interface Denoiser extends Module {
  condition(inputs: ConditioningInputs): Promise<Conditioning>;
  /**
   * One forward pass per conditioning, batched where that is faster. Latent [channels, h, w], already scaled.
   * `residuals` are a ControlNet's for the same latent, one for each conditioning (UNets).
   */
  predict(
    latent: Tensor,
    timestep: number,
    conditionings: Conditioning[],
    residuals?: Residuals[],
  ): Promise<Tensor[]>;
}

/** A ControlNet's residuals for one step of a denoiser. They stay on the device. */
export interface Residuals {
  close(): void;
}

export interface ControlNet extends Module {
  /**
   * Reads the picture, whose sides are 8 times the latent's, and the prompts once for all steps; one conditioning each.
   * The prompts are those of the denoiser; its other inputs are ignored.
   */
  condition(picture: Pixels | Tensor, prompts: ConditioningInputs[]): Promise<Conditioning[]>;
  /** For each conditioning the residuals, times `strength`, for the denoiser's prediction from the same latent. */
  steer(
    latent: Tensor,
    timestep: number,
    conditionings: Conditioning[],
    strength: number,
  ): Promise<Residuals[]>;
}

export interface Autoencoder extends Module {
  /** Picture, or [3, H, W] in [-1, 1], to the posterior in latent space (scaled, shifted): sample = mean + std * noise. */
  encode(image: Pixels | Tensor): Promise<{ mean: Tensor; std?: Tensor }>;
  decode(latent: Tensor): Promise<Pixels>;
  /** The network's own output, [3, H, W], unclamped, in [-1, 1]. */
  decodeFloat(latent: Tensor): Promise<Tensor>;
}

export interface Upscaler extends Module {
  /** The picture, enlarged. Its sides must be multiples of what the network packs (1, 2 or 4). */
  upscale(image: Pixels | Tensor): Promise<Pixels>;
  /** The network's own output, [3, H, W], unclamped, in [-1, 1]. */
  upscaleFloat(image: Pixels | Tensor): Promise<Tensor>;
}

export declare class Engine {
  constructor(options: EngineOptions);
  loadTextEncoder(
    kind: string,
    config: object,
    weights: Weights,
    options?: LoadOptions,
  ): Promise<TextEncoder>;
  loadDenoiser(kind: string, config: object, weights: Weights, options?: LoadOptions): Promise<Denoiser>;
  loadControlNet(kind: string, config: object, weights: Weights, options?: LoadOptions): Promise<ControlNet>;
  loadAutoencoder(
    kind: string,
    config: object,
    weights: Weights,
    options?: LoadOptions,
  ): Promise<Autoencoder>;
  loadUpscaler(kind: string, config: object, weights: Weights, options?: LoadOptions): Promise<Upscaler>;
  /** Stops the running job: its promise rejects with ABORTED. */
  abort(): void;
  memory(): Memory;
  close(): Promise<void>;
}

export declare function devices(): Device[];

/** GPU backends that were compiled in and offer no device on this machine. */
export declare function silentBackends(): SilentBackend[];

/** Quantises rows of `columns` values to a ggml type, bit for bit as ggml does. */
export declare function quantize(type: string, data: Float32Array, columns: number): Uint8Array;

/**
 * Rows [first, first + count) of the one tensor of `weights` (in parts, if need be) as F32. A row is what belongs to one
 * output; a vector is one row.
 */
export declare function readValues(weights: Weights, first: number, count: number): Float32Array;

export interface Addon {
  devices: typeof devices;
  silentBackends: typeof silentBackends;
  quantize: typeof quantize;
  readValues: typeof readValues;
  Engine: typeof Engine;
}
