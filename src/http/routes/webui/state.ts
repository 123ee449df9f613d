// What one server's WebUI clients share.
import type { Job } from '../../../service/jobs/job.js';

export interface WebUiState {
  /** Model chosen through /options; undefined = the default model. */
  checkpoint: string | undefined;
  readonly jobs: Set<Job>;
  readonly interrupted: WeakSet<Job>;
}
