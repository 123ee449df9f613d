// The tools besides those that make pictures: prompt assist, models, status, unload and timeout.
import type { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { modelSchema } from '../service/answers/schemas.js';
import { describeStatus, statusSchema, timeoutSchema } from '../service/answers/status.js';
import type { ImageService } from '../service/image-service.js';
import { LIMITS } from '../shared/limits.js';
import { showError, showFacts } from './results.js';

const READ = { readOnlyHint: true, openWorldHint: false } as const;
const CHANGE = {
  readOnlyHint: false,
  destructiveHint: false,
  idempotentHint: true,
  openWorldHint: false,
} as const;

export function addStateTools(server: McpServer, service: ImageService): void {
  const readStatus = async () => ({ ...describeStatus(await service.status()) });

  server.registerTool(
    'assist_prompt',
    {
      title: 'Expand a prompt',
      description:
        'Expand a short request into a richer image prompt with Ollama; returned unchanged if Ollama is not reachable.',
      inputSchema: z.object({
        prompt: z.string().min(1).max(LIMITS.promptLength),
        style: z.string().max(LIMITS.promptLength).nullish().describe('Style to aim at'),
      }),
      outputSchema: z.object({
        prompt: z.string(),
        tags: z.array(z.string()),
        assisted: z.boolean(),
        source: z.enum(['ollama', 'passthrough']),
        reason: z.string().optional().describe('Why it was not expanded'),
      }),
      annotations: READ,
    },
    async ({ prompt, style }, { mcpReq: { signal } }) => {
      try {
        const expanded = await service.assistant.expand(prompt, { style: style ?? undefined, signal });
        return showFacts({ ...expanded });
      } catch (error) {
        return showError(error);
      }
    },
  );
  server.registerTool(
    'list_models',
    {
      title: 'List models',
      description:
        'Every model that a request can name: what it does, its defaults, whether it is on this disk.',
      inputSchema: z.object({}),
      outputSchema: z.object({
        default_model: z.string(),
        models: z.array(z.object(modelSchema.shape)),
      }),
      annotations: READ,
    },
    async () => {
      try {
        return showFacts({ default_model: service.defaultModel, models: await service.listModels() });
      } catch (error) {
        return showError(error);
      }
    },
  );
  server.registerTool(
    'get_status',
    {
      title: 'Get the status',
      description:
        'Whether a model is loaded, when it will be unloaded, memory in use, last access, the queue.',
      inputSchema: z.object({}),
      outputSchema: statusSchema,
      annotations: READ,
    },
    async () => showFacts(await readStatus()),
  );
  server.registerTool(
    'unload_model',
    {
      title: 'Unload the model',
      description:
        'Unload the model now (after the running job) and free its memory. The next request loads it again.',
      inputSchema: z.object({}),
      outputSchema: z.object({ unloaded: z.boolean().describe('false if none was loaded') }),
      annotations: CHANGE,
    },
    async () => showFacts({ unloaded: await service.unload() }),
  );
  server.registerTool(
    'set_timeout',
    {
      title: 'Set the unload timeout',
      description: 'Change the idle time after which the model is unloaded, until the program ends.',
      inputSchema: timeoutSchema,
      outputSchema: statusSchema,
      annotations: CHANGE,
    },
    async ({ timeout_seconds }) => {
      service.setTimeout(timeout_seconds);
      return showFacts(await readStatus());
    },
  );
}
