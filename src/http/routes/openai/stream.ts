// `stream: true` of OpenAI's images API: sends partial and finished pictures as server-sent events.
import type { Context } from 'hono';
import { type SSEStreamingApi, streamSSE } from 'hono/streaming';
import { z } from 'zod';
import type { Job, JobPreview, NumberedEvent } from '../../../service/jobs/job.js';
import type { ImageRequest } from '../../../service/request/parse.js';
import { ImageForgeError } from '../../../shared/errors.js';
import { toOpenAi } from '../../errors.js';
import { keepAlive } from '../../heartbeat.js';
import { type EncodingOptions, encodeImage, readEncoding } from './encoding.js';

export const PARTIAL_IMAGES = z.int().min(0).max(3);

export function streamImages(
  c: Context,
  job: Job<ImageRequest>,
  options: EncodingOptions & { partials: number; quality?: string | null | undefined },
): Response {
  const kind = job.request.operation === 'generate' ? 'image_generation' : 'image_edit';
  const encoding = readEncoding(options);
  c.header('X-Accel-Buffering', 'no');
  return streamSSE(c, async (stream) => {
    stream.onAbort(() => job.cancel());
    const describe = async (picture: Buffer, size: string) => ({
      b64_json: await encodeImage(picture, encoding),
      created_at: Math.floor(Date.now() / 1000),
      size,
      quality: options.quality ?? 'auto',
      background: 'opaque',
      output_format: encoding.format,
    });
    const sent = sendPartials(job, options.partials, async ({ data }, index) => {
      const { width, height } = job.request;
      const size = width && height ? `${width}x${height}` : 'auto';
      await send(stream, `${kind}.partial_image`, {
        ...(await describe(data, size)),
        partial_image_index: index,
      });
    });
    const stopHeartbeat = keepAlive(stream);
    try {
      const { images, width, height, notes } = await job.wait();
      await sent();
      for (const { png } of images)
        await send(stream, `${kind}.completed`, {
          ...(await describe(png, `${width}x${height}`)),
          ...(notes.length > 0 && { notes }),
          usage: { total_tokens: 0, input_tokens: 0, output_tokens: 0, input_tokens_details: NO_TOKENS },
          ...(notes.length > 0 && { notes }),
        });
    } catch (error) {
      await sent();
      await stream.writeSSE({
        event: 'error',
        data: JSON.stringify({ type: 'error', ...toOpenAi(ImageForgeError.from(error)) }),
      });
    } finally {
      stopHeartbeat();
    }
  });
}

/** Nothing here is counted in tokens, but clients read these fields. */
const NO_TOKENS = { text_tokens: 0, image_tokens: 0 };

/**
 * Sends `count` previews, spread evenly over the steps of all images. Returns a function that stops it and waits for the
 * preview being sent.
 */
function sendPartials(
  job: Job<ImageRequest>,
  count: number,
  write: (preview: JobPreview, index: number) => Promise<void>,
): () => Promise<void> {
  let index = 0;
  let last: Promise<void> = Promise.resolve();
  const onEvent = ({ event }: NumberedEvent) => {
    if (event.type !== 'preview' || index >= count) return;
    const steps = job.progress?.steps ?? 1;
    const share = (event.image + event.step / steps) / job.batch;
    if (share < (index + 1) / (count + 1)) return;
    const number = index++;
    last = last.then(() => write(event, number)).catch(() => undefined);
  };
  const unsubscribe = job.subscribe(onEvent);
  return () => {
    unsubscribe();
    return last;
  };
}

async function send(stream: SSEStreamingApi, type: string, facts: object): Promise<void> {
  await stream.writeSSE({ event: type, data: JSON.stringify({ type, ...facts }) });
}
