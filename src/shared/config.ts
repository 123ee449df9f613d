// Reads every setting from the environment and a .env file and checks it once. A bad value is refused with its name and
// with what is allowed.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { ImageForgeError } from './errors.js';
import { type Settings, settings } from './settings.js';

export interface Config extends Settings {
  /** The folder that relative paths start from. */
  readonly workingDir: string;
  /** Variables that are set in the environment or the .env file. All other settings have their defaults. */
  readonly set: ReadonlySet<string>;
}

export interface ConfigSource {
  env?: Record<string, string | undefined>;
  /** Folder of the .env file, from which relative paths start. Default: the working directory. */
  directory?: string;
}

/** @throws ImageForgeError CONFIG_INVALID that names every bad variable. */
export function readConfig({ env = process.env, directory = process.cwd() }: ConfigSource = {}): Config {
  const variables = { ...readEnvFile(path.join(directory, '.env')), ...dropEmpty(env) };
  const toPath = (value: string) => resolvePath(expand(value, variables), directory);
  const values: Record<string, unknown> = {};
  const set = new Set<string>();
  const problems: string[] = [];
  for (const [key, setting] of Object.entries(settings)) {
    const name = setting.names.find((candidate) => variables[candidate] !== undefined);
    let value: unknown = setting.default;
    if (name !== undefined) {
      set.add(name);
      value = setting.parse(variables[name]!.trim());
      if (value === undefined)
        problems.push(`${name}=${setting.secret ? '***' : variables[name]}: expected ${setting.allowed}`);
    }
    if (setting.isPath && typeof value === 'string') value = toPath(value);
    if (setting.isPath && Array.isArray(value)) value = value.map(toPath);
    values[key] = value;
  }
  if (problems.length > 0) {
    throw new ImageForgeError('CONFIG_INVALID', problems.join('; '), {
      hint: 'Correct it in the environment or in .env; .env.example lists every setting.',
    });
  }
  return { ...(values as Settings), workingDir: directory, set };
}

function readEnvFile(file: string): Record<string, string> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new ImageForgeError('CONFIG_INVALID', `Cannot read ${file}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return dropEmpty(parseEnv(text));
}

/** `NAME=` in a file or a shell means "not set". */
function dropEmpty(env: NodeJS.Dict<string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => !!entry[1]?.trim()),
  );
}

/** Replaces `$NAME` and `${NAME}` in paths, as shells and dotenv files do. */
function expand(value: string, variables: Record<string, string>): string {
  return value.replace(
    /\$(?:\{(\w+)\}|(\w+))/g,
    (match, braced?: string, bare?: string) => variables[braced ?? bare ?? ''] ?? match,
  );
}

function resolvePath(value: string, directory: string): string {
  const full = value === '~' || value.startsWith('~/') ? path.join(homedir(), value.slice(1)) : value;
  return value === '' ? '' : path.resolve(directory, full);
}
