// Runs the built command line as a user does: in its own process and folder, with the real engine and the small test model.
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { makeFolder } from '../folder.js';
import { testModel } from '../test-model.js';

export const main = path.resolve(import.meta.dirname, '../../dist/cli/main.js');

/** A user's environment with nothing but the test model. */
export const cleanEnvironment = (folder: string) => ({
  PATH: process.env.PATH,
  HOME: folder,
  IMAGEFORGE_MODEL: testModel.model,
  OLLAMA_URL: 'http://127.0.0.1:1',
  DEVICE: 'cpu',
});

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  folder?: string;
  env?: Record<string, string>;
  /** Shell command that runs first in the same shell, e.g. 'ulimit -f 10'. */
  shell?: string;
  onStart?: (child: ChildProcess) => void;
}

export async function runCli(args: string[], options: CliOptions = {}): Promise<CliResult> {
  const { folder = makeFolder('cli'), env = {}, shell, onStart } = options;
  const command = [process.execPath, main, ...args];
  const [file, ...rest] = shell ? ['bash', '-c', `${shell}; exec "$@"`, 'bash', ...command] : command;
  const child = spawn(file!, rest, {
    cwd: folder,
    env: { ...cleanEnvironment(folder), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const result: CliResult = { code: null, stdout: '', stderr: '' };
  child.stdout!.setEncoding('utf8').on('data', (text) => {
    result.stdout += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    result.stderr += text;
  });
  onStart?.(child);
  result.code = await new Promise((resolve) => child.once('close', resolve));
  return result;
}
