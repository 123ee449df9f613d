// Runs an example as its reader does: in a folder where the package is installed, with the real program, the model in
// the package and, for clients, a server that `imageforge serve` started.
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, vi } from 'vitest';
import { cleanEnvironment, main } from '../cli/run-cli.js';
import { makeFolder } from '../folder.js';

// Each example starts its own program, server or compiler, which is slow on a busy machine.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

export const root = path.resolve(import.meta.dirname, '../..');
export const examples = path.join(root, 'examples');

const missing = ['models/pocket.gguf', 'build/Release/imageforge.node', 'dist/index.js'].filter(
  (file) => !existsSync(path.join(root, file)),
);
/** Why examples can't run here; empty if they can. */
export const reason = missing.length > 0 ? `(skipped: no ${missing.join(', ')})` : '';

const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Makes a folder with node_modules/imageforge, as `npm install imageforge` leaves it, and other packages that it needs. */
export function makeProject(...packages: string[]): string {
  const folder = makeFolder('example');
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name: 'reader', type: 'module' }));
  const modules = path.join(folder, 'node_modules');
  mkdirSync(path.join(modules, '@types'), { recursive: true });
  symlinkSync(root, path.join(modules, 'imageforge'), 'junction');
  for (const name of packages)
    symlinkSync(path.join(root, 'node_modules', name), path.join(modules, name), 'junction');
  return folder;
}

/** An environment with the command `imageforge` on its PATH, as after `npm install -g imageforge`. */
export function makeInstalledEnvironment(folder: string): Record<string, string> {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  chmodSync(main, 0o755);
  symlinkSync(main, path.join(bin, 'imageforge'));
  const { PATH = '', ...rest } = cleanEnvironment(folder);
  return { ...rest, PATH: [bin, path.dirname(process.execPath), PATH].join(path.delimiter) };
}

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

export async function run(folder: string, command: string, ...args: string[]): Promise<Ended> {
  const child = spawn(command, args, {
    cwd: folder,
    env: cleanEnvironment(folder),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const ended: Ended = { code: null, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => {
    ended.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    ended.stderr += text;
  });
  ended.code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  return ended;
}

/** Starts `imageforge serve` on a free port and returns its address. */
export async function serve(folder: string): Promise<string> {
  const child = spawn(process.execPath, [main, 'serve', '--port', '0', '--json'], {
    cwd: folder,
    env: { ...cleanEnvironment(folder), LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').once('data', resolve);
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(`imageforge serve ended with code ${code}`)));
  });
  return JSON.parse(line).url;
}

/** A picture's size and the mean red, green and blue of its middle, where the examples draw a star. */
export async function describePicture(file: string) {
  const { width, height } = await sharp(file).metadata();
  const side = Math.round(Math.min(width, height) / 8);
  const middle = { left: (width - side) >> 1, top: (height - side) >> 1, width: side, height: side };
  const { data } = await sharp(file)
    .removeAlpha()
    .extract(middle)
    .raw()
    .toBuffer({ resolveWithObject: true });
  const [red, green, blue] = [0, 1, 2].map((channel) => {
    const values = data.filter((_, at) => at % 3 === channel);
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  });
  return { width, height, red: red!, green: green!, blue: blue! };
}
