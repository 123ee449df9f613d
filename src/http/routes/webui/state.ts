// State that all WebUI clients of one server share.
import type { Job } from '../../../service/jobs/job.js';

export interface WebUiState {
  /** Model chosen through /options; undefined for the default model. */
  checkpoint: string | undefined;
  readonly jobs: Set<Job>;
  readonly interrupted: WeakSet<Job>;
}
