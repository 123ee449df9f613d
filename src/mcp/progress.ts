// Progress notifications for one call: at every step, and at least every ten seconds when nothing else happens.
import type { ServerContext } from '@modelcontextprotocol/server';
import type { Job, NumberedEvent } from '../service/jobs/job.js';

const HEARTBEAT_MS = 8000;
/** Added when no step has finished since the last message: the protocol wants every value to be higher than the last. */
const TINY = 1e-3;

/** Reports progress until the returned function is called. Does nothing if the client sent no token. */
export function reportProgress(job: Job, { mcpReq }: ServerContext): () => void {
  const progressToken = mcpReq._meta?.progressToken;
  if (progressToken === undefined) return () => undefined;
  let last = 0;
  const send = () => {
    const { done, total } = job.progress ?? { done: 0, total: 0 };
    last = Math.max(done, last + TINY);
    const params = {
      progressToken,
      progress: last,
      ...(total > 0 && { total: Math.max(total, last) }),
      message: describeProgress(job),
    };
    void mcpReq.notify({ method: 'notifications/progress', params }).catch(() => undefined);
  };
  let timer = setInterval(send, HEARTBEAT_MS);
  const unsubscribe = job.subscribe(({ event }: NumberedEvent) => {
    if (event.type !== 'queued' && event.type !== 'phase' && event.type !== 'step') return;
    clearInterval(timer);
    timer = setInterval(send, HEARTBEAT_MS);
    send();
  });
  send();
  return () => {
    clearInterval(timer);
    unsubscribe();
  };
}

export function describeProgress({ progress, position, batch }: Job): string {
  if (!progress) return position === null ? 'preparing' : `waiting, place ${position}`;
  const pass = progress.passes > 1 ? ` of pass ${progress.pass}/${progress.passes}` : '';
  const which = `${pass}${batch > 1 ? ` of image ${progress.image + 1}/${batch}` : ''}`;
  switch (progress.phase) {
    case 'load':
      return 'loading the model';
    case 'encode':
      return 'reading the prompt';
    case 'denoise':
      return `step ${progress.step}/${progress.steps}${which}`;
    case 'decode':
      return `decoding${which}`;
    case 'upscale':
      return `upscaling, tile ${progress.step}/${progress.steps}${which}`;
  }
}
