// Runs `imageforge models pull` and `imageforge models rm`: progress on stderr, the outcome on stdout.
import { guardVariable } from '../registry/catalog.js';
import { pullModel, requireEntry } from '../registry/pull.js';
import { removeModel } from '../registry/remove.js';
import { isUnlocked } from '../registry/resolve-model.js';
import { readConfig } from '../shared/config.js';
import { cancelOnSignals } from './open-service.js';
import { createPullView } from './pull-progress.js';
import { formatBytes } from './table.js';

export async function printPull(
  key: string,
  { part, quiet, json }: { part?: string[]; quiet?: boolean; json?: boolean },
): Promise<void> {
  const config = readConfig();
  const entry = requireEntry(key);
  const view = quiet ? undefined : createPullView(process.stderr);
  const { signal, release } = cancelOnSignals();
  let files: Awaited<ReturnType<typeof pullModel>>;
  try {
    files = await pullModel(entry, config, {
      ...(part && { parts: part }),
      signal,
      onProgress: view?.onProgress,
    });
  } finally {
    view?.end();
    release();
  }
  if (json) {
    const bytes = files.reduce((sum, file) => sum + (file.downloaded ? file.bytes : 0), 0);
    const document = { ok: true, model: entry.key, downloaded_bytes: bytes, files };
    process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    return;
  }
  for (const { what, file, bytes, downloaded } of files)
    process.stdout.write(`${downloaded ? 'pulled' : 'found '}  ${file} (${what}, ${formatBytes(bytes)})\n`);
  if (quiet || part) return;
  if (entry.guard && !isUnlocked(entry, config)) {
    const variable = guardVariable(entry.guard);
    process.stderr.write(
      `note: ${entry.key} is locked, ${entry.guard.reason}: set ${variable}=1 to use it.\n`,
    );
  }
}

export async function printRemoval(key: string, json: boolean): Promise<void> {
  const entry = requireEntry(key);
  const files = await removeModel(entry, readConfig());
  const freed = files.reduce((sum, file) => sum + file.freed, 0);
  if (json) {
    const document = { ok: true, model: entry.key, freed_bytes: freed, files };
    process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    return;
  }
  for (const { file, removed, reason } of files)
    process.stdout.write(removed ? `removed  ${file}\n` : `kept     ${file}: ${reason}\n`);
  process.stdout.write(`${formatBytes(freed)} freed\n`);
}
