// The tools that make pictures, and the tool for jobs that outlast a call.
import type { CallToolResult, McpServer, ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';
import type { ImageService } from '../service/image-service.js';
import type { Job } from '../service/jobs/job.js';
import type { JobStore } from '../service/jobs/store.js';
import { factsOf } from '../service/request/field.js';
import type { ImageOperation, JobRequest } from '../service/request/parse.js';
import { upscaleSchema } from '../service/request/upscale.js';
import { ImageForgeError } from '../shared/errors.js';
import { lenient } from './lenient.js';
import { reportProgress } from './progress.js';
import { jobResultSchema, showError, showResult, showRunning } from './results.js';

/** Seconds. Clients give up after 60. */
const DEFAULT_WAIT = 45;
const MAX_WAIT = 3600;

const waitSeconds = z
  .number()
  .min(0)
  .max(MAX_WAIT)
  .nullish()
  .describe(`Seconds to wait for the image; after that the answer is a job_id. Default ${DEFAULT_WAIT}`);

/** Annotations of the tools that write new files but neither change nor send any. */
const MAKES_PICTURES = {
  readOnlyHint: false,
  destructiveHint: false,
  idempotentHint: false,
  openWorldHint: false,
};

export function addImageTools(server: McpServer, service: ImageService, jobs: JobStore): void {
  const { generate, edit, inpaint } = service.schemas;
  const tools = [
    {
      name: 'generate_image',
      operation: 'generate',
      title: 'Generate an image',
      description: 'Generate an image from a text prompt, on this machine.',
      schema: generate,
    },
    {
      name: 'edit_image',
      operation: 'edit',
      title: 'Edit an image',
      description: 'Change an existing image according to a prompt. Needs image_path (or init_image).',
      schema: edit,
    },
    {
      name: 'inpaint_image',
      operation: 'inpaint',
      title: 'Repaint a part of an image',
      description:
        'Repaint the white regions of a mask; black is kept. Needs image_path and mask_path (or init_image and mask_image).',
      schema: inpaint,
    },
  ] satisfies {
    name: string;
    operation: ImageOperation;
    title: string;
    description: string;
    schema: z.ZodObject;
  }[];
  for (const { name, operation, title, description, schema } of tools) {
    server.registerTool(
      name,
      {
        title,
        description,
        inputSchema: toInput(schema),
        outputSchema: jobResultSchema,
        annotations: MAKES_PICTURES,
      },
      async ({ wait_seconds, ...fields }, context) =>
        begin(() => service.parse(operation, fields), jobs, wait_seconds, context),
    );
  }
}

export function addUpscaleTool(server: McpServer, service: ImageService, jobs: JobStore): void {
  server.registerTool(
    'upscale_image',
    {
      title: 'Make an image larger',
      description: 'Make an image larger with an ESRGAN upscaler. Needs image_path (or image) and model.',
      inputSchema: toInput(upscaleSchema),
      outputSchema: jobResultSchema,
      annotations: MAKES_PICTURES,
    },
    async ({ wait_seconds, ...fields }, context) =>
      begin(() => service.parse('upscale', fields), jobs, wait_seconds, context),
  );
}

/** The schema's fields that are meant for agents, plus wait_seconds. */
function toInput({ shape }: z.ZodObject): ReturnType<typeof lenient> {
  const offered = Object.entries(shape).filter(([, field]) => factsOf(field as z.ZodType).agents);
  return lenient(z.object({ ...Object.fromEntries(offered), wait_seconds: waitSeconds }));
}

/** Starts a request as a job. Answers with its picture, or with the job's id if that takes too long. */
function begin(
  parse: () => JobRequest,
  jobs: JobStore,
  wait: unknown,
  context: ServerContext,
): Promise<CallToolResult> {
  return answer(() => {
    const seconds = readWait(wait);
    return follow(jobs.start(parse()), jobs, seconds, context);
  });
}

export function addJobTool(server: McpServer, jobs: JobStore): void {
  server.registerTool(
    'job',
    {
      title: 'Manage a job',
      description:
        'A generation that outlasted its call: check it (status), wait for its image (wait), get the image (result), or cancel it.',
      inputSchema: lenient(
        z.object({
          job_id: z.string(),
          action: z.enum(['status', 'wait', 'result', 'cancel']).nullish().describe('Default: status'),
          wait_seconds: waitSeconds,
        }),
      ),
      outputSchema: jobResultSchema,
      annotations: { readOnlyHint: false, destructiveHint: false, openWorldHint: false },
    },
    async ({ job_id, action, wait_seconds }, context) =>
      answer(async () =>
        actOn(await jobs.find(String(job_id)), jobs, action, readWait(wait_seconds), context),
      ),
  );
}

async function actOn(
  job: Job,
  jobs: JobStore,
  action: unknown,
  seconds: number,
  context: ServerContext,
): Promise<CallToolResult> {
  switch (action ?? 'status') {
    case 'status':
      return job.state === 'failed' ? showError(job.error) : showRunning(job);
    case 'wait':
      return (await waits(job, seconds, context)) ? showResult(await job.wait()) : showRunning(job);
    case 'result':
      return job.active ? showRunning(job) : showResult(await job.wait());
    case 'cancel':
      await jobs.cancel(job);
      return showRunning(job);
    default:
      throw new ImageForgeError(
        'INVALID_ARGUMENT',
        `action: expected status, wait, result or cancel, found ${action}`,
      );
  }
}

/** Answers with the picture or, if that takes longer than the client waits, with a job that continues. */
async function follow(
  job: Job,
  jobs: JobStore,
  seconds: number,
  context: ServerContext,
): Promise<CallToolResult> {
  const { signal } = context.mcpReq;
  const cancel = () => job.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    if (await waits(job, seconds, context)) return await showResult(await job.wait());
    await jobs.keep(job);
    return showRunning(job);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** Waits up to `seconds` for the job. Returns whether it has ended. */
async function waits(job: Job, seconds: number, context: ServerContext): Promise<boolean> {
  const stop = reportProgress(job, context);
  let timer: NodeJS.Timeout | undefined;
  const { signal } = context.mcpReq;
  let leave = () => {};
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, seconds * 1000);
    leave = resolve;
    signal.addEventListener('abort', leave, { once: true });
  });
  try {
    await Promise.race([job.ended, timeout]);
    return !job.active;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', leave);
    stop();
  }
}

function readWait(value: unknown): number {
  const parsed = waitSeconds.safeParse(value);
  if (parsed.success) return parsed.data ?? DEFAULT_WAIT;
  throw new ImageForgeError(
    'INVALID_ARGUMENT',
    `wait_seconds: expected 0 to ${MAX_WAIT}, found ${JSON.stringify(value)}`,
  );
}

async function answer(work: () => Promise<CallToolResult>): Promise<CallToolResult> {
  try {
    return await work();
  } catch (error) {
    return showError(error);
  }
}
