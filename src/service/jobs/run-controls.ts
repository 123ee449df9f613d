// How a caller controls and watches one run of the service.
import type { Progress } from '../../pipeline/types.js';
import type { OutputTarget } from '../pictures/outputs.js';

export interface RunControls {
  signal?: AbortSignal;
  /** Higher first; 0 by default. */
  priority?: number;
  /** Called with the place in the queue, 1 = next, whenever it changes. */
  onPosition?: (position: number) => void;
  onProgress?: (progress: Progress) => void;
  /** Called with the prompt as the model will see it. */
  onPrompt?: (prompt: string) => void;
  save?: OutputTarget;
}
