// How a caller steers and watches one run of the service.
import type { Progress } from '../../pipeline/types.js';
import type { OutputTarget } from '../pictures/outputs.js';

export interface RunControls {
  signal?: AbortSignal;
  /** Higher first; 0 by default. */
  priority?: number;
  /** Place in the line, 1 = next; called when it changes. */
  onPosition?: (position: number) => void;
  onProgress?: (progress: Progress) => void;
  /** The prompt as the model will see it. */
  onPrompt?: (prompt: string) => void;
  save?: OutputTarget;
}
