// The API of the Stable Diffusion WebUI, as its clients use it: lists, settings, progress and interruption. images.ts has
// the routes that make pictures.
import path from 'node:path';
import { z } from 'zod';
import { listControlNets } from '../../../registry/control-nets.js';
import { listEmbeddings } from '../../../registry/embeddings.js';
import { listLoras } from '../../../registry/loras.js';
import { listStyles } from '../../../registry/prompt-library.js';
import { samplerEntries, scheduleEntries } from '../../../sampling/index.js';
import type { Job } from '../../../service/jobs/job.js';
import { parseParameters } from '../../../service/pictures/parameters.js';
import { readPngText } from '../../../service/pictures/png-text.js';
import { readJson } from '../../body.js';
import type { Doors } from '../../context.js';
import { refuseField } from '../../errors.js';
import type { Routes } from '../../routes.js';
import { addWebUiExtrasRoutes } from './extras.js';
import { readBase64, stripHash } from './fields.js';
import { addWebUiImageRoutes } from './images.js';
import type { WebUiState } from './state.js';

const anything = z.record(z.string(), z.unknown());
const list = z.array(anything);

export function addWebUiRoutes(routes: Routes, doors: Doors): void {
  const { service } = doors;
  const { config } = service;
  const state: WebUiState = { checkpoint: undefined, jobs: new Set(), interrupted: new WeakSet() };
  const models = async () => {
    const all = await service.listModels();
    return all.filter(({ available, allowed }) => available && allowed);
  };
  const get = (
    name: string,
    summary: string,
    answer: () => Promise<object> | object,
    schema: z.ZodType = list,
  ) =>
    routes.add(
      {
        method: 'get',
        path: `/sdapi/v1/${name}`,
        tag: 'WebUI',
        summary,
        answer: { schema, description: 'As the WebUI answers' },
      },
      async (c) => c.json(await answer()),
    );

  addWebUiImageRoutes(routes, doors, state);
  addWebUiExtrasRoutes(routes, doors);
  get('samplers', 'Samplers', () =>
    samplerEntries.map(({ label, name, aliases }) => ({
      name: label,
      aliases: [name, ...aliases],
      options: {},
    })),
  );
  get('schedulers', 'Noise schedules', () => [
    { name: 'automatic', label: 'Automatic', aliases: null, default_rho: -1, need_inner_model: false },
    ...scheduleEntries.map(({ name, label, aliases }) => ({
      name,
      label,
      aliases: aliases.length > 0 ? aliases : null,
      default_rho: -1,
      need_inner_model: false,
    })),
  ]);
  get('sd-models', 'Models', async () =>
    (await models()).map(({ key }) => ({
      title: key,
      model_name: path.parse(key).name,
      hash: null,
      sha256: null,
      filename: key,
      config: null,
    })),
  );
  get('embeddings', 'Embeddings (textual inversion) of the model folder', () => ({
    loaded: Object.fromEntries(
      listEmbeddings(config).map(({ name }) => [name, { sd_checkpoint_name: null }]),
    ),
    skipped: {},
  }));
  get('prompt-styles', 'Styles of PROMPT_DIR', () =>
    listStyles(config).map(({ name, prompt, negativePrompt }) => ({
      name,
      prompt,
      negative_prompt: negativePrompt,
    })),
  );
  routes.add(
    {
      method: 'get',
      path: '/controlnet/model_list',
      tag: 'WebUI',
      summary: 'ControlNets of the model folder',
      answer: { schema: anything, description: "As the WebUI's extension answers" },
    },
    async (c) => c.json({ model_list: listControlNets(config) }),
  );
  get('loras', 'LoRA files of the model folder', () =>
    listLoras(config).map(({ name, file }) => ({ name, alias: name, path: file, metadata: {} })),
  );
  get(
    'options',
    'Settings',
    () => ({
      sd_model_checkpoint: state.checkpoint ?? service.defaultModel,
      samples_format: 'png',
      outdir_samples: config.outputDir,
      CLIP_stop_at_last_layers: 1,
    }),
    anything,
  );
  routes.add(
    {
      method: 'post',
      path: '/sdapi/v1/options',
      tag: 'WebUI',
      summary: 'Choose the model; other settings are ignored',
      body: { schema: z.looseObject({ sd_model_checkpoint: z.string().optional() }), name: 'WebUiOptions' },
      answer: { schema: z.null(), description: 'Changed' },
      errors: [400, 404],
    },
    async (c) => {
      const { sd_model_checkpoint: name } = await readJson(c);
      if (name !== undefined && typeof name !== 'string')
        refuseField('sd_model_checkpoint', 'sd_model_checkpoint: expected text');
      if (name !== undefined) state.checkpoint = name === '' ? undefined : stripHash(name);
      return c.json(null);
    },
  );
  get('progress', 'How far the running generation is', () => describeProgress(current(state)), anything);
  for (const name of ['interrupt', 'skip']) {
    routes.add(
      {
        method: 'post',
        path: `/sdapi/v1/${name}`,
        tag: 'WebUI',
        summary: 'End the running generation',
        answer: { schema: anything, description: 'The generation was told to end' },
      },
      (c) => {
        const job = current(state);
        if (job) state.interrupted.add(job);
        job?.cancel();
        return c.json({});
      },
    );
  }
  routes.add(
    {
      method: 'post',
      path: '/sdapi/v1/png-info',
      tag: 'WebUI',
      summary: 'The parameters inside a PNG file',
      body: {
        schema: z.object({ image: z.string().describe('base64 or a data URL') }),
        name: 'WebUiPngInfo',
      },
      answer: { schema: anything, description: 'The text, and the parameters parsed from it' },
      errors: [400],
    },
    async (c) => {
      const items = readPngText(readBase64((await readJson(c)).image, 'image'));
      const info = items.parameters ?? '';
      return c.json({ info, items, parameters: info === '' ? {} : parseParameters(info) });
    },
  );
}

/** The running job, or else the next one. */
function current({ jobs }: WebUiState): Job | undefined {
  const all = [...jobs];
  return all.find(({ state }) => state === 'running') ?? all[0];
}

function describeProgress(job: Job | undefined): object {
  const { progress, startedAt, preview, batch = 1 } = job ?? {};
  const part = progress && progress.total > 0 ? progress.done / progress.total : 0;
  const share = job ? Math.min(0.99, Math.max(0.01, part)) : 0;
  const seconds = startedAt ? (Date.now() - startedAt.getTime()) / 1000 : 0;
  return {
    progress: share,
    eta_relative: share > 0.01 ? seconds / share - seconds : 0,
    state: {
      skipped: false,
      interrupted: false,
      stopping_generation: false,
      job: job?.id ?? '',
      job_count: job ? batch : 0,
      job_timestamp: job?.createdAt.toISOString() ?? '0',
      job_no: progress?.image ?? 0,
      sampling_step: progress?.phase === 'denoise' ? progress.step : 0,
      sampling_steps: progress?.steps ?? 0,
    },
    current_image: preview?.data.toString('base64') ?? null,
    textinfo: null,
    current_task: job?.id ?? null,
  };
}
