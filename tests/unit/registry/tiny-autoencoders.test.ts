// Tiny autoencoders by name: where the one for a model is searched for, and what the error for a missing one says.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { planModel } from '../../../src/families/index.js';
import { resolveNamed } from '../../../src/registry/named-files.js';
import {
  chooseTinyAutoencoder,
  findTinyAutoencoders,
  tinyAutoencoders,
} from '../../../src/registry/tiny-autoencoders.js';
import { readConfig } from '../../../src/shared/config.js';
import { testModel } from '../../test-model.js';
import { tinyAutoencoderShapes, writeShapes } from '../weights/make-files.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'imageforge-tiny-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (...parts: string[]) => path.join(folder, ...parts);
const read = () =>
  readConfig({ directory: folder, env: { IMAGEFORGE_MODEL_DIR: at('models'), HF_HOME: at('hf') } });
function put(file: string, channels = 4): string {
  mkdirSync(path.dirname(at(file)), { recursive: true });
  return writeShapes(tinyAutoencoderShapes(channels), at(file));
}

const own = await planModel(testModel);
/** A model with Stable Diffusion's published autoencoder. */
const plan = {
  ...own,
  autoencoder: {
    ...own.autoencoder,
    config: { ...own.autoencoder.config, channels: [128, 256, 512, 512] },
  },
};
const previews = { fastDecode: false, previewEvery: 1 };

describe('without a name', () => {
  it('finds the one of the family by its name', async () => {
    put('models/taesdxl.safetensors');
    put('models/vae_approx/taesd_encoder.safetensors');
    put('models/vae_approx/taesd3_decoder.safetensors', 16);
    expect(await chooseTinyAutoencoder(previews, plan, read())).toBeUndefined();
    const loose = put('models/taesd.safetensors');
    expect(await chooseTinyAutoencoder(previews, plan, read())).toMatchObject({ path: loose, notes: [] });
    const decoder = put('models/vae_approx/taesd_decoder.safetensors');
    expect(await chooseTinyAutoencoder(previews, plan, read())).toMatchObject({ path: decoder });
    expect(findTinyAutoencoders('taesdxl', read())).toEqual([at('models/taesdxl.safetensors')]);
  });

  it('skips one whose latents are not the family’s', async () => {
    put('models/vae_approx/taesd_a.safetensors', 16);
    const good = put('models/vae_approx/taesd_b.safetensors');
    expect(await chooseTinyAutoencoder(previews, plan, read())).toMatchObject({ path: good });
  });

  it('finds what the Hugging Face cache has', async () => {
    const file = put('hf/hub/models--madebyollin--taesd/snapshots/1/diffusion_pytorch_model.safetensors');
    expect(await chooseTinyAutoencoder(previews, plan, read())).toMatchObject({ path: file });
  });

  it('looks for none if it would draw nothing, or if no published one fits the latents', async () => {
    put('models/vae_approx/taesd.safetensors');
    const config = read();
    expect(await chooseTinyAutoencoder({ ...previews, previewEvery: 0 }, plan, config)).toBeUndefined();
    expect(await chooseTinyAutoencoder(previews, own, config)).toBeUndefined();
  });

  it('says what is missing for fast decoding', async () => {
    const fast = { fastDecode: true, previewEvery: 0 };
    await expect(chooseTinyAutoencoder(fast, plan, read())).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: expect.stringContaining(at('models/vae_approx')),
    });
    await expect(chooseTinyAutoencoder(fast, own, read())).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: expect.stringContaining('--tae FILE'),
    });
  });
});

describe('named', () => {
  it('may be a file, or a name in the folders', async () => {
    const decoder = put('models/vae_approx/taesd_decoder.safetensors');
    const here = put('here/any.safetensors');
    expect(resolveNamed(tinyAutoencoders, 'taesd_decoder', read())).toBe(decoder);
    expect(resolveNamed(tinyAutoencoders, 'here/any.safetensors', read())).toBe(here);
    expect(() => resolveNamed(tinyAutoencoders, 'none', read())).toThrow(
      expect.objectContaining({
        code: 'NOT_FOUND',
        message: expect.stringContaining(at('models/vae_approx')),
      }),
    );
    const chosen = await chooseTinyAutoencoder({ ...previews, tae: here }, own, read());
    expect(chosen).toMatchObject({ path: here, notes: [] });
  });

  it('is used despite a name for another family, with a note', async () => {
    const xl = put('here/taesdxl.safetensors');
    const chosen = await chooseTinyAutoencoder({ ...previews, tae: xl }, plan, read());
    expect(chosen).toMatchObject({
      path: xl,
      notes: [expect.stringMatching(/is called taesdxl, which is not/)],
    });
  });
});
