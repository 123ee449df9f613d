// Fetches ggml's source into third_party/ggml/source: packs the pinned npm package with the user's npm client, checks it
// against the pinned sha512 and unpacks the git bundle inside. Refuses anything but the pinned bytes.
//
//   node scripts/build/fetch-ggml.mjs [--archive FILE] [--target FOLDER] [--force]

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs, promisify } from 'node:util';

const run = promisify(execFile);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const home = path.join(root, 'third_party/ggml');

/** @typedef {{ version: string, package: string, integrity: string, bundle: string, commit: string, folder: string }} Pin */

/** @returns {Promise<Pin>} */
export async function readPin() {
  return JSON.parse(await readFile(path.join(home, 'pin.json'), 'utf8'));
}

/**
 * Makes sure that the pinned source is in `target`, and returns that folder.
 * @param {{ archive?: string, target?: string, force?: boolean, log?: (line: string) => void }} options
 */
export async function fetchGgml(options = {}) {
  const { target = path.join(home, 'source'), force = false, log = () => {} } = options;
  const archive = options.archive ?? process.env.IMAGEFORGE_GGML_ARCHIVE;
  const pin = await readPin();
  const stamp = path.join(target, '.pin');
  if (!force && (await readFile(stamp, 'utf8').catch(() => '')) === stampOf(pin)) return target;

  // Beside the target, so that the last step is a rename on one file system.
  await mkdir(path.dirname(target), { recursive: true });
  const work = await mkdtemp(`${target}.partial-`);
  try {
    const file = archive ?? (await pack(pin, work, log));
    await check(file, pin);
    log(`unpacking ggml ${pin.version}`);
    await unpack(file, pin, work);
    await writeFile(path.join(work, 'ggml', '.pin'), stampOf(pin));
    await rm(target, { recursive: true, force: true });
    await rename(path.join(work, 'ggml'), target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return target;
}

/** @param {Pin} pin */
function stampOf(pin) {
  return `${pin.integrity} ${pin.commit}\n`;
}

/** Runs `npm pack` with the client that runs us, and so with the user's registry, credentials, proxy and cache. */
async function pack(pin, folder, log) {
  log(`downloading ${pin.package}, which contains the source of ggml ${pin.version}`);
  const args = ['pack', pin.package, '--json', '--ignore-scripts', '--pack-destination', folder];
  const npm = process.env.npm_execpath;
  // The outer npm call's dry-run and JSON settings must not reach this one.
  const env = { ...process.env, npm_config_dry_run: 'false' };
  try {
    const { stdout } = npm?.endsWith('.js')
      ? await run(process.execPath, [npm, ...args], { cwd: root, env, maxBuffer: 1 << 26 })
      : await run(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, {
          cwd: root,
          env,
          maxBuffer: 1 << 26,
          shell: process.platform === 'win32',
        });
    return path.join(folder, JSON.parse(stdout)[0].filename);
  } catch (error) {
    throw new Error(
      `npm could not download ${pin.package}, which contains the source of ggml: ${lastLines(error)}\n` +
        'Check the connection and the registry setting (npm config get registry), or pass the archive that ' +
        `"npm pack ${pin.package}" makes on another machine: IMAGEFORGE_GGML_ARCHIVE=FILE npm ci`,
    );
  }
}

async function check(file, pin) {
  const hash = createHash('sha512');
  try {
    for await (const chunk of createReadStream(file)) hash.update(chunk);
  } catch (error) {
    throw new Error(`Can't read the archive ${file}: ${error.message}`);
  }
  const found = `sha512-${hash.digest('base64')}`;
  if (found !== pin.integrity)
    throw new Error(
      `The download of ${pin.package} is not the one that this version of ImageForge was made with; it was not unpacked.\n` +
        `  expected ${pin.integrity}\n  found    ${found}\n` +
        'Either it was damaged on the way (try again, npm cache clean --force) or the registry serves something else.',
    );
}

async function unpack(file, pin, work) {
  const clone = path.join(work, 'clone');
  // Use a relative name, since GNU tar takes "C:" for a host.
  await run('tar', ['-xzf', path.relative(work, path.resolve(file)), pin.bundle], { cwd: work });
  const git = (...args) => run('git', ['-c', 'core.autocrlf=false', ...args], { cwd: work });
  await git('clone', '--quiet', '--no-checkout', path.join(work, pin.bundle), clone);
  await git('-C', clone, 'checkout', '--quiet', pin.commit, '--', pin.folder, 'LICENSE');
  await rename(path.join(clone, pin.folder), path.join(work, 'ggml'));
  await cp(path.join(clone, 'LICENSE'), path.join(work, 'ggml', 'LICENSE'));
}

function lastLines(error) {
  const text = String(error.stderr || error.message).trim();
  return text.split('\n').slice(-6).join('\n');
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({
    options: {
      archive: { type: 'string' },
      target: { type: 'string' },
      force: { type: 'boolean' },
    },
  });
  try {
    const folder = await fetchGgml({ ...values, log: (line) => console.error(`imageforge: ${line}`) });
    console.error(`imageforge: ggml is in ${path.relative(process.cwd(), folder) || '.'}`);
  } catch (error) {
    console.error(`imageforge: ${error.message}`);
    process.exitCode = 1;
  }
}
