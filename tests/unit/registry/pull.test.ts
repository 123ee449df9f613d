// Pulling and removing catalogue models against a local hub: what is fetched, found, claimed and freed.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findEntry, type HubFile } from '../../../src/registry/catalog.js';
import { type PullOptions, pullModel, requireEntry } from '../../../src/registry/pull.js';
import { removeModel } from '../../../src/registry/remove.js';
import { listFiles, listMissing, resolveModel } from '../../../src/registry/resolve-model.js';
import { readConfig } from '../../../src/shared/config.js';
import { hostLabel } from '../../../src/shared/processes.js';
import { makeFolder } from '../../folder.js';
import { FakeHub } from './fake-hub.js';

let hub: FakeHub;
let folder: string;

beforeEach(async () => {
  hub = await FakeHub.start();
  folder = makeFolder('pull');
});
afterEach(() => hub.stop());

const configure = (env: Record<string, string> = {}) =>
  readConfig({
    directory: folder,
    env: {
      HF_ENDPOINT: `${hub.endpoint}/`,
      IMAGEFORGE_MODEL_DIR: 'models',
      HF_HOME: 'home',
      FLUX_MODEL_CACHE: 'hub',
      ...env,
    },
  });
const pull = (key: string, options: PullOptions = {}, config = configure()) =>
  pullModel(findEntry(key)!, config, { wait: async () => {}, segmentBytes: 1000, ...options });
const remove = (key: string) => removeModel(findEntry(key)!, configure());

/** Publishes every file of a model; the bytes of each differ. */
function publish(key: string): HubFile[] {
  const files = listFiles(findEntry(key)!).map(({ file }) => file);
  for (const [index, { repo, path: name }] of files.entries()) hub.put(`${repo}/${name}`, 2500 + index);
  return files;
}

function putByHand(...parts: string[]): string {
  const file = path.join(folder, ...parts);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, 'weights');
  return file;
}

describe('pullModel', () => {
  it('fetches every part, after which the model is complete', async () => {
    const files = publish('flux1-dev');
    const seen = new Set<string>();
    const onProgress: PullOptions['onProgress'] = ({ phase, file, index, files: count, bytes, size }) => {
      if (bytes === size) seen.add(`${phase} ${index}/${count} ${file}`);
    };
    const pulled = await pull('flux1-dev', { onProgress });
    expect(pulled.map(({ what, downloaded, bytes }) => [what, downloaded, bytes])).toEqual([
      ['model', true, 2500],
      ['vae', true, 2501],
      ['clip_l', true, 2502],
      ['t5xxl', true, 2503],
    ]);
    for (const { repo, path: name, file } of pulled)
      expect(readFileSync(file).equals(hub.files.get(`${repo}/${name}`)!)).toBe(true);
    expect(Object.values(resolveModel({ model: 'flux1-dev' }, configure()).files)).toEqual(
      pulled.map(({ file }) => file),
    );
    expect([...seen]).toContain('verify 4/4 t5-v1_1-xxl-encoder-Q8_0.gguf');
    expect(seen.size).toBe(2 * files.length);
  });

  it('does not fetch files that it or another program already has', async () => {
    publish('flux1-dev');
    const vae = putByHand(
      'hub',
      'models--black-forest-labs--FLUX.1-schnell',
      'snapshots',
      'abc',
      'ae.safetensors',
    );
    const clip = putByHand(
      'home',
      'hub',
      'models--comfyanonymous--flux_text_encoders',
      'snapshots',
      'abc',
      'clip_l.safetensors',
    );
    const t5 = putByHand('models', 't5-v1_1-xxl-encoder-Q8_0.gguf');
    const pulled = await pull('flux1-dev');
    expect(pulled.map(({ downloaded }) => downloaded)).toEqual([true, false, false, false]);
    expect(pulled.slice(1).map(({ file }) => file)).toEqual([vae, clip, t5]);
    hub.requests.length = 0;
    hub.listings.length = 0;
    await pull('flux1-dev');
    expect([hub.requests, hub.listings]).toEqual([[], []]);
  });

  it('sends HF_TOKEN, or the token that a login left in HF_HOME', async () => {
    const sent = () =>
      [...hub.requests, ...hub.listings.map(({ headers }) => headers)].map((to) => to.authorization);
    publish('sd-turbo');
    await pull('sd-turbo', {}, configure({ HF_TOKEN: 'hf_setting' }));
    expect(new Set(sent())).toEqual(new Set(['Bearer hf_setting']));
    hub.requests.length = 0;
    hub.listings.length = 0;
    publish('sd15');
    putByHand('home', 'token');
    await pull('sd15');
    expect(new Set(sent())).toEqual(new Set(['Bearer weights']));
  });

  it('says that a token is required before it downloads anything', async () => {
    publish('sd-turbo');
    hub.gate = (_, response) => {
      response.writeHead(401).end();
      return true;
    };
    await expect(pull('sd-turbo')).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: 'stabilityai/sd-turbo/sd_turbo.safetensors: the hub demands a token.',
      hint: expect.stringContaining('HF_TOKEN'),
    });
  });

  it('checks the space for all files first', async () => {
    publish('flux1-dev');
    hub.listed = { size: 2 ** 50 };
    await expect(pull('flux1-dev')).rejects.toMatchObject({
      code: 'NO_SPACE',
      message: expect.stringMatching(
        /^4503599\.6 GB are to be downloaded to .*models, .* GB are free there\.$/,
      ),
      exitCode: 7,
    });
    expect(hub.requests).toEqual([]);
    expect(existsSync(path.join(folder, 'models'))).toBe(false);
  });

  it('refuses an implausible listing', async () => {
    publish('sd-turbo');
    for (const listed of [{ size: -1 }, { oid: '../../etc/passwd' }, { size: 1.5 }]) {
      hub.listed = listed;
      await expect(pull('sd-turbo')).rejects.toMatchObject({
        code: 'DOWNLOAD_FAILED',
        message: expect.stringContaining('expected a size and a sha256'),
      });
    }
    hub.files.clear();
    await expect(pull('sd-turbo')).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      message: expect.stringContaining('there is no such file on 127.0.0.1'),
    });
    hub.gate = (_, response) => {
      response.setHeader('content-type', 'text/html').end('<html>log in</html>');
      return true;
    };
    await expect(pull('sd-turbo')).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      hint: expect.stringContaining('HF_ENDPOINT'),
    });
  });

  it('asks again when the hub is busy, and eventually gives up', async () => {
    publish('sd-turbo');
    let answers = 0;
    hub.gate = (_, response) => {
      if (answers++ < 2) response.writeHead(503).end();
      return answers <= 2;
    };
    expect((await pull('sd-turbo'))[0]).toMatchObject({ downloaded: true });
    const gone = configure({ HF_ENDPOINT: 'http://127.0.0.1:1' });
    await expect(pull('sd15', { tries: 2 }, gone)).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      message: expect.stringMatching(/^127\.0\.0\.1:1: .*\(tried 2 times\)\.$/),
    });
  });

  it('fetches a single part, which can be removed again', async () => {
    const [, vae, clip] = publish('flux1-dev');
    const pulled = await pull('flux1-dev', { parts: ['clip_l', 'vae'] });
    expect(pulled.map(({ what, path }) => [what, path])).toEqual([
      ['vae', vae!.path],
      ['clip_l', clip!.path],
    ]);
    expect(listMissing(findEntry('flux1-dev')!, configure()).map(({ what }) => what)).toEqual([
      'model',
      't5xxl',
    ]);
    await expect(pull('flux1-dev', { parts: ['vae', 'llm'] })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: "'flux1-dev' has no part 'llm'.",
      hint: 'Its parts are model, vae, clip_l, t5xxl.',
    });
    expect((await remove('flux1-dev')).map(({ removed }) => removed)).toEqual([true, true]);
  });

  it('sweeps what a killed pull left, even if nothing is missing any more', async () => {
    const [file] = publish('sd15');
    await pull('sd15');
    const left = path.join(
      folder,
      `models/${file!.repo}/.imageforge-${hostLabel()}.${2 ** 22 + 1}.0123456789ab.tmp`,
    );
    writeFileSync(left, 'half a mark');
    await pull('sd15');
    expect(existsSync(left)).toBe(false);
  });

  it('takes only models of the catalogue', () => {
    expect(requireEntry('stabilityai/sd-turbo').key).toBe('sd-turbo');
    expect(() => requireEntry('pocket')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => requireEntry('../x')).toThrow(
      expect.objectContaining({ code: 'MODEL_NOT_FOUND', hint: expect.stringContaining('sd15, sd-turbo') }),
    );
  });
});

describe('removeModel', () => {
  it('frees what pull made, down to the empty folders', async () => {
    publish('flux1-dev');
    await pull('flux1-dev');
    const removed = await remove('flux1-dev');
    expect(removed.map((file) => file.removed)).toEqual([true, true, true, true]);
    expect(removed.map(({ freed }) => freed)).toEqual([2500, 2501, 2502, 2503]);
    expect(readdirSync(path.join(folder, 'models'))).toEqual([]);
    await expect(remove('flux1-dev')).rejects.toMatchObject({ code: 'NOT_FOUND', exitCode: 3 });
  });

  it("never touches other programs' files or the user's", async () => {
    publish('flux1-dev');
    const others = [
      putByHand('hub', 'models--black-forest-labs--FLUX.1-schnell', 'snapshots', 'abc', 'ae.safetensors'),
      putByHand('models', 'clip_l.safetensors'),
      putByHand('models', 'city96', 't5-v1_1-xxl-encoder-gguf', 't5-v1_1-xxl-encoder-Q8_0.gguf'),
    ];
    await pull('flux1-dev');
    const [model, ...kept] = await remove('flux1-dev');
    expect(model).toMatchObject({ removed: true, freed: 2500 });
    expect(kept.map(({ file, removed }) => [file, removed])).toEqual(others.map((file) => [file, false]));
    expect(others.every((file) => existsSync(file))).toBe(true);
    await expect(remove('flux1-dev')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('keeps files that another pulled model uses, until that is removed too', async () => {
    publish('sdxl-lcm');
    await pull('sdxl');
    await pull('sdxl-lcm');
    const [base] = await remove('sdxl');
    expect(base).toMatchObject({ removed: false, reason: 'it was pulled for sdxl-lcm too' });
    expect(resolveModel({ model: 'sdxl-lcm' }, configure()).files.model).toBe(base!.file);
    expect((await remove('sdxl-lcm')).every(({ removed }) => removed)).toBe(true);
    expect(existsSync(base!.file)).toBe(false);
  });

  it('keeps a file that was replaced by hand', async () => {
    publish('sd-turbo');
    const [pulled] = await pull('sd-turbo');
    writeFileSync(pulled!.file, 'my own');
    expect(await remove('sd-turbo')).toMatchObject([
      { removed: false, reason: expect.stringContaining('replaced') },
    ]);
    expect(readFileSync(pulled!.file, 'utf8')).toBe('my own');
  });

  it('removes what an interrupted pull left', async () => {
    publish('sd-turbo');
    hub.fault = ({ range }, response) => {
      if (range!.first < 1000) return false;
      response.writeHead(404).end();
      return true;
    };
    await expect(pull('sd-turbo', { connections: 1 })).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
    // As if it had been killed while it saved its state.
    const part = readdirSync(path.join(folder, 'models'), { recursive: true, encoding: 'utf8' }).find(
      (name) => name.endsWith('.part'),
    )!;
    const at = path.join(folder, 'models', part);
    writeFileSync(`${at}.lock`, `${2 ** 22 + 1} ${hostname()} 1`);
    writeFileSync(`${path.dirname(at)}/.imageforge-${hostLabel()}.${2 ** 22 + 1}.0123456789ab.tmp`, '{');
    expect((await remove('sd-turbo'))[0]).toMatchObject({ removed: true });
    expect(readdirSync(path.join(folder, 'models'))).toEqual([]);
  });
});
