import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { catalog, findEntry, modelKeys } from '../../../src/registry/catalog.js';
import { findDefault, resolveModel } from '../../../src/registry/resolve-model.js';
import { readConfig } from '../../../src/shared/config.js';
import { makeFolder } from '../../folder.js';

let folder: string;
beforeEach(() => {
  folder = makeFolder('registry');
});

const configure = (env: Record<string, string> = {}) =>
  readConfig({
    directory: folder,
    env: { IMAGEFORGE_MODEL_DIR: 'models', HF_HOME: 'home', FLUX_MODEL_CACHE: 'hub', ...env },
  });

function put(...parts: string[]): string {
  const file = path.join(folder, ...parts);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, 'weights');
  return file;
}

describe('catalog', () => {
  it('has the models of both programs, with their defaults', () => {
    expect(modelKeys).toEqual([
      'pocket',
      'sd15',
      'sd-turbo',
      'sdxl-turbo',
      'sdxl',
      'sdxl-lcm',
      'sdxl-portrait',
      'flux-q4',
      'flux1-dev',
      'flux2-dev',
      'flux2-klein',
      'flux2-klein-9b',
    ]);
    const table = Object.fromEntries(
      catalog.map(({ key, defaults }) => [key, [defaults.steps, defaults.guidance, defaults.width]]),
    );
    expect(table).toEqual({
      sd15: [25, 7.5, 512],
      'sd-turbo': [2, 0, 512],
      'sdxl-turbo': [4, 0, 512],
      sdxl: [30, 7, 1024],
      'sdxl-lcm': [6, 1.5, 1024],
      'sdxl-portrait': [30, 7, 1024],
      'flux-q4': [4, undefined, 1024],
      'flux1-dev': [40, 7.5, 1024],
      'flux2-dev': [50, 7.5, 1024],
      'flux2-klein': [4, 1, 1024],
      'flux2-klein-9b': [4, 1, 1024],
    });
  });

  it('finds by key and by hub id', () => {
    expect(findEntry('black-forest-labs/FLUX.2-dev')?.key).toBe('flux2-dev');
    expect(findEntry('SDXL')?.key).toBe('sdxl');
    expect(findEntry('pocket')).toBeUndefined();
  });
});

describe('resolveModel', () => {
  it('finds files in the model folder and in the caches of other programs', () => {
    const base = put('models', 'sd_turbo.safetensors');
    expect(resolveModel({ model: 'sd-turbo' }, configure()).files).toEqual({ model: base });
    const commit = put(
      'hub',
      'models--stabilityai--sdxl-turbo',
      'snapshots',
      'abc',
      'sd_xl_turbo_1.0_fp16.safetensors',
    );
    expect(resolveModel({ model: 'sdxl-turbo' }, configure()).files).toEqual({ model: commit });
    const home = put(
      'home',
      'hub',
      'models--stabilityai--stable-diffusion-xl-base-1.0',
      'snapshots',
      'abc',
      'sd_xl_base_1.0.safetensors',
    );
    expect(resolveModel({ model: 'sdxl' }, configure()).files).toEqual({ model: home });
  });

  it('takes paths, relative to the working directory, and parts', () => {
    const model = put('my.gguf');
    const vae = put('parts', 'vae.safetensors');
    const found = resolveModel({ model: './my.gguf', parts: { vae: 'parts/vae.safetensors' } }, configure());
    expect(found).toMatchObject({ key: './my.gguf', files: { model, vae } });
    expect(() => resolveModel({ model: './my.gguf', parts: { vae: 'none' } }, configure())).toThrow(
      expect.objectContaining({ code: 'NOT_FOUND', message: expect.stringContaining('named for vae') }),
    );
  });

  it('knows files in the model folder by their names', () => {
    const model = put('models', 'dreams.safetensors');
    expect(resolveModel({ model: 'dreams' }, configure())).toMatchObject({ key: 'dreams', files: { model } });
  });

  it('refuses guarded models until they are unlocked', () => {
    expect(() => resolveModel({ model: 'flux2-klein' }, configure())).toThrow(
      expect.objectContaining({
        code: 'MODEL_GUARDED',
        status: 403,
        message: expect.stringMatching(
          /^Model 'flux2-klein' is guarded: it needs 10 GB, and 13-16 GB in full precision; [\d.]+ GB are free here\.$/,
        ),
        hint: 'Set ALLOW_KLEIN=1 to use it.',
      }),
    );
  });

  it('names each missing file and where it comes from', () => {
    put('models', 'clip_l.safetensors');
    expect(() => resolveModel({ model: 'flux1-dev' }, configure())).toThrow(
      expect.objectContaining({
        code: 'MODEL_INCOMPLETE',
        exitCode: 4,
        message: expect.stringMatching(
          /flux1-dev-Q8_0\.gguf \(model\).*ae\.safetensors \(vae\).*\(t5xxl\) missing/,
        ),
        hint: expect.stringContaining('city96/FLUX.1-dev-gguf'),
      }),
    );
  });

  it('adds the LoRA of sdxl-portrait if it is set', () => {
    put('models', 'sd_xl_base_1.0.safetensors');
    expect(resolveModel({ model: 'sdxl-portrait' }, configure()).loras).toEqual([]);
    const lora = put('face.safetensors');
    const config = configure({ IMAGEFORGE_LORA_PORTRAIT: 'face.safetensors' });
    expect(resolveModel({ model: 'sdxl-portrait' }, config).loras).toEqual([{ path: lora, strength: 1 }]);
  });

  it('bounds sides by MAX_RES, or by the model if that is not set', () => {
    for (const name of [
      'flux1-dev-Q8_0.gguf',
      'ae.safetensors',
      'clip_l.safetensors',
      't5-v1_1-xxl-encoder-Q8_0.gguf',
      'sd_turbo.safetensors',
    ])
      put('models', name);
    const side = (model: string, env = {}) => resolveModel({ model }, configure(env)).maxSide;
    expect([side('flux1-dev'), side('sd-turbo')]).toEqual([2048, 1024]);
    expect([side('flux1-dev', { MAX_RES: '768' }), side('sd-turbo', { MAX_RES: '768' })]).toEqual([768, 768]);
  });

  it('lists the known models if there is no such model', () => {
    expect(() => resolveModel({ model: 'dall-e' }, configure())).toThrow(
      expect.objectContaining({
        code: 'MODEL_NOT_FOUND',
        exitCode: 3,
        hint: expect.stringContaining('pocket, sd15'),
      }),
    );
  });
});

describe('findDefault', () => {
  it('is pocket, unless another model is available and not guarded', () => {
    expect(findDefault(configure())).toBe('pocket');
    put('models', 'sd_xl_base_1.0.safetensors');
    expect(findDefault(configure())).toBe('sdxl');
    put('models', 'sd_turbo.safetensors');
    expect(findDefault(configure())).toBe('sd-turbo');
  });
});
