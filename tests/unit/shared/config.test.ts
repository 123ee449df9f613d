import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatEnvExample } from '../../../src/cli/env-example.js';
import { readConfig } from '../../../src/shared/config.js';
import type { ImageForgeError } from '../../../src/shared/errors.js';
import { settings } from '../../../src/shared/settings.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'imageforge-config-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const read = (env: Record<string, string> = {}) => readConfig({ env, directory });

function refusal(env: Record<string, string>): ImageForgeError {
  try {
    read(env);
  } catch (error) {
    return error as ImageForgeError;
  }
  throw new Error(`${JSON.stringify(env)} was accepted`);
}

describe('readConfig', () => {
  it('has the documented defaults of both programs', () => {
    expect(read()).toMatchObject({
      model: undefined,
      device: 'auto',
      port: 8765,
      host: '127.0.0.1',
      ollamaUrl: 'http://127.0.0.1:11434',
      ollamaModel: 'gemma4:latest',
      outputDir: path.join(directory, 'outputs'),
      cacheDir: path.join(directory, 'cache'),
      maxRes: 1024,
      allowFlux: false,
      allowKlein: false,
      warmup: false,
      unloadTimeout: 300,
      defaultSteps: undefined,
    });
  });

  it('reads every name of both programs', () => {
    const config = read({
      FLUX_MODEL_ID: 'black-forest-labs/FLUX.1-dev',
      FLUX_OUTPUT_DIR: '/tmp/pictures',
      FLUX_MODEL_CACHE: '/tmp/hub',
      FLUX_UNLOAD_TIMEOUT: '0',
      FLUX_DEFAULT_STEPS: '28',
      FLUX_DEFAULT_GUIDANCE: '3.5',
      DEVICE: 'mps',
      ALLOW_FLUX: '1',
      ALLOW_KLEIN: 'true',
      CACHE_MAX_BYTES: '2G',
    });
    expect(config).toMatchObject({
      model: 'black-forest-labs/FLUX.1-dev',
      outputDir: '/tmp/pictures',
      hubCache: '/tmp/hub',
      unloadTimeout: 0,
      defaultSteps: 28,
      defaultGuidance: 3.5,
      device: 'metal',
      allowFlux: true,
      allowKlein: true,
      cacheMaxBytes: 2 ** 31,
    });
  });

  it('prefers our name if both are set, and the environment over the file', () => {
    writeFileSync(path.join(directory, '.env'), 'OUTPUT_DIR=from-file\nPORT=9000\nMAX_RES=\n');
    const config = read({ OUTPUT_DIR: 'mine', FLUX_OUTPUT_DIR: 'theirs' });
    expect(config.outputDir).toBe(path.join(directory, 'mine'));
    expect(config.port).toBe(9000);
    expect(config.maxRes).toBe(1024);
    expect([...config.set].sort()).toEqual(['OUTPUT_DIR', 'PORT']);
  });

  it('expands ~ and variables in paths', () => {
    writeFileSync(
      path.join(directory, '.env'),
      ['WHERE=/srv', 'OUTPUT_DIR="$WHERE/a"', 'CACHE_DIR=~/b', 'ALLOWED_PATHS=$' + '{WHERE}/c:d'].join('\n'),
    );
    expect(read()).toMatchObject({
      outputDir: '/srv/a',
      cacheDir: path.join(homedir(), 'b'),
      allowedPaths: ['/srv/c', path.join(directory, 'd')],
    });
  });

  it.each([
    [{ PORT: 'abc' }, 'PORT=abc: expected a whole number from 0 to 65535'],
    [{ PORT: '99999' }, 'PORT=99999: expected a whole number from 0 to 65535'],
    [{ DEVICE: 'tpu' }, 'DEVICE=tpu: expected one of auto, cpu, cuda, metal, vulkan, mps'],
    [{ WARMUP: 'maybe' }, 'WARMUP=maybe: expected 0 or 1'],
    [{ FLUX_UNLOAD_TIMEOUT: '-1' }, 'FLUX_UNLOAD_TIMEOUT=-1: expected a number from 0 to 604800'],
    [{ OLLAMA_URL: 'ftp://x' }, 'OLLAMA_URL=ftp://x: expected an http or https address'],
    [{ CACHE_MAX_BYTES: '1Q' }, 'CACHE_MAX_BYTES=1Q: expected bytes, or a number with K, M, G or T'],
    [{ HOST: 'a b' }, 'HOST=a b: expected an address or a host name'],
  ])('refuses %j', (env, message) => {
    const error = refusal(env as Record<string, string>);
    expect(error.message).toBe(message);
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 12 });
  });

  it('names every bad value at once, but no secrets', () => {
    const { message } = refusal({ PORT: 'x', API_KEY: 'hunter2' });
    expect(message).toContain('PORT=x');
    expect(message).toContain('API_KEY=***: expected at least 8 characters');
    expect(message).not.toContain('hunter2');
  });
});

describe('.env.example', () => {
  const root = path.resolve(import.meta.dirname, '../../..');
  const text = readFileSync(path.join(root, '.env.example'), 'utf8');

  it('is up to date with the settings', () => {
    expect(text).toBe(formatEnvExample());
  });

  it('names every variable once', () => {
    const names = [...text.matchAll(/^# ([A-Z_]+)=/gm)].map(([, name]) => name);
    expect(names.sort()).toEqual(
      Object.values(settings)
        .flatMap((setting) => setting.names)
        .sort(),
    );
  });

  it('holds the defaults: uncommenting every line changes nothing', () => {
    writeFileSync(path.join(directory, '.env'), text.replace(/^# ([A-Z_]+=)/gm, '$1'));
    const { set, ...fromExample } = read();
    const { set: _, ...defaults } = readConfig({ env: {}, directory: rootless() });
    expect(set.size).toBeGreaterThan(10);
    expect({ ...fromExample }).toEqual({ ...defaults });
  });

  /** The same folder without its .env. */
  function rootless(): string {
    rmSync(path.join(directory, '.env.off'), { force: true });
    const file = path.join(directory, '.env');
    const kept = readFileSync(file, 'utf8');
    rmSync(file);
    writeFileSync(path.join(directory, '.env.off'), kept);
    return directory;
  }
});
