// The checks of `imageforge doctor`. They run independently, so one failure doesn't hide the others.

import { planModel } from '../families/index.js';
import { resolveModel } from '../registry/resolve-model.js';
import { listDevices } from '../service/models/devices.js';
import { prepareFolder } from '../service/pictures/outputs.js';
import { type Config, readConfig } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';
import { readFreeMemory } from '../shared/free-memory.js';
import { readVersion } from '../shared/version.js';
import { formatBytes } from './table.js';

export interface Check {
  name: string;
  ok: boolean;
  /** What was found. */
  found: string;
  hint?: string;
  exitCode: number;
}

const MIN_NODE = [20, 20] as const;

export async function runChecks(): Promise<Check[]> {
  const checks = [await check('ImageForge', () => readVersion()), await check('Node', checkNode)];
  let config: Config | undefined;
  checks.push(
    await check('Settings', () => {
      config = readConfig();
      return config.set.size === 0 ? 'all defaults' : `${[...config.set].join(', ')} set`;
    }),
  );
  checks.push(await check('Native addon', () => describeDevices(config?.device ?? 'auto')));
  checks.push(await check('Images (sharp)', async () => (await import('sharp')).default.versions.sharp));
  checks.push(await check('Free memory', () => formatBytes(readFreeMemory())));
  if (!config) return checks;
  const { outputDir, cacheDir } = config;
  const settled = config;
  checks.push(await check('Output folder', () => checkFolder(outputDir)));
  checks.push(await check('Cache folder', () => checkFolder(cacheDir)));
  checks.push(await check('Model', () => checkModel(settled)));
  checks.push(await check('Prompt assist', () => checkAssist(settled)));
  return checks;
}

async function check(name: string, look: () => string | Promise<string>): Promise<Check> {
  try {
    return { name, ok: true, found: await look(), exitCode: 0 };
  } catch (error) {
    const { message, hint, exitCode } = ImageForgeError.from(error);
    return { name, ok: false, found: message, ...(hint !== undefined && { hint }), exitCode };
  }
}

function checkNode(): string {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return process.versions.node;
  throw new ImageForgeError(
    'UNSUPPORTED',
    `found ${process.versions.node}, expected ${MIN_NODE.join('.')} or newer`,
  );
}

async function describeDevices(wanted: Config['device']): Promise<string> {
  const { devices, silent } = await listDevices();
  const found = devices.map(({ id, name }) => `${id} (${name})`).join(', ');
  const missing = silent.map(({ kind, reason }) => `; no ${kind}: ${reason}`).join('');
  if (wanted !== 'auto' && !devices.some(({ kind }) => kind === wanted))
    throw new ImageForgeError('DEVICE_UNAVAILABLE', `found ${found}${missing}; DEVICE asks for ${wanted}`, {
      hint: `Set DEVICE=auto, or make ${wanted} work: the README leads to what building for a GPU needs.`,
    });
  return found + missing;
}

async function checkFolder(folder: string): Promise<string> {
  await prepareFolder(folder, 2 ** 24);
  return folder;
}

async function checkModel(config: Config): Promise<string> {
  const { key, files } = resolveModel({}, config);
  const { family, denoiser, autoencoder, textEncoders } = await planModel(files);
  const bytes = [denoiser, autoencoder, ...textEncoders].reduce((sum, network) => sum + network.bytes, 0);
  return `${key} (${family}, ${formatBytes(bytes)})`;
}

/** Never fails: prompt assist is optional. */
async function checkAssist(config: Config): Promise<string> {
  const { PromptAssistant } = await import('../service/assist.js');
  const { reachable, model_available, url, model } = await new PromptAssistant(config).check();
  if (!reachable) return `no Ollama at ${url} (optional)`;
  return model_available
    ? `Ollama at ${url} with ${model}`
    : `Ollama at ${url} without ${model}: ollama pull ${model}`;
}
