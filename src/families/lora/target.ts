// A place in a model that an update can change.

/** What a name stands for. */
export interface LoraTarget {
  /** 'denoiser', or the index of a text encoder in the plan. */
  network: 'denoiser' | number;
  /** The network's tensor. */
  tensor: string;
  /** Its bias, where it has one. */
  bias?: string;
  /** First row of a fused matrix, and how many are the module's own. */
  row?: number;
  rows?: number;
  /** The module's two halves stand in the other order. */
  swapped?: boolean;
  /** The tensor is the module's matrix transposed. */
  transposed?: true;
}

/** Module paths of a network in one convention, without prefix. */
export interface Alias {
  path: string;
  target: Omit<LoraTarget, 'network'>;
}
