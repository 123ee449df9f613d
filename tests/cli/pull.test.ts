// `models pull` and `models rm` as a user runs them, against a local hub.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeFolder } from '../folder.js';
import { FakeHub } from '../unit/registry/fake-hub.js';
import { runCli } from './run-cli.js';

const NAME = 'stabilityai/sd-turbo/sd_turbo.safetensors';
const MiB = 2 ** 20;

let hub: FakeHub;
let folder: string;
let env: Record<string, string>;

beforeEach(async () => {
  hub = await FakeHub.start();
  folder = makeFolder('cli');
  env = { HF_ENDPOINT: hub.endpoint, IMAGEFORGE_MODEL_DIR: path.join(folder, 'models') };
});
afterEach(() => hub.stop());

const run = (...args: string[]) => runCli(['models', ...args], { folder, env });

describe('models pull and rm', () => {
  it('downloads files, finds them again, and removes them', async () => {
    hub.put(NAME, 3 * MiB);
    const file = path.join(folder, 'models', NAME);
    const pulled = await run('pull', 'sd-turbo');
    expect(pulled).toMatchObject({ code: 0, stdout: `pulled  ${file} (model, 3 MB)\n` });
    expect(pulled.stderr).toMatch(/^sd_turbo\.safetensors {2}0% of 3 MB$/m);
    expect(pulled.stderr).toMatch(/^sd_turbo\.safetensors \(checking\) {2}100% of 3 MB$/m);
    const again = await run('pull', 'sd-turbo', '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({
      ok: true,
      model: 'sd-turbo',
      downloaded_bytes: 0,
      files: [{ what: 'model', file, bytes: 3 * MiB, downloaded: false }],
    });
    expect(again.stderr).toBe('');
    expect((await run('rm', 'sd-turbo')).stdout).toBe(`removed  ${file}\n3 MB freed\n`);
    expect(existsSync(file)).toBe(false);
    expect(await run('rm', 'sd-turbo')).toMatchObject({ code: 3, stdout: '' });
  });

  it('downloads one part of a model', async () => {
    const vae = 'black-forest-labs/FLUX.1-schnell/ae.safetensors';
    hub.put(vae, 2 * MiB);
    const pulled = await run('pull', 'flux-q4', '--part', 'vae');
    const file = path.join(folder, 'models', vae);
    expect(pulled).toMatchObject({ code: 0, stdout: `pulled  ${file} (vae, 2 MB)\n` });
    expect(pulled.stderr).not.toContain('locked');
    expect((await run('pull', 'flux-q4', '--part', 'llm')).stderr).toContain(
      'Its parts are model, vae, clip_l',
    );
  });

  it('keeps what has arrived on Ctrl-C, and resumes', async () => {
    hub.put(NAME, 40 * MiB);
    let kill: (() => void) | undefined;
    hub.fault = ({ range }, response, content) => {
      if (range!.first < 32 * MiB) return false;
      const contentRange = `bytes ${range!.first}-${range!.last}/${content.length}`;
      response.writeHead(206, { 'content-range': contentRange });
      response.write(content.subarray(range!.first, range!.first + MiB), () => kill?.());
      return true;
    };
    const stopped = await runCli(['models', 'pull', 'sd-turbo'], {
      folder,
      env,
      onStart: (child) => {
        kill = () => child.kill('SIGINT');
      },
    });
    expect(stopped).toMatchObject({ code: 130, stdout: '' });
    expect(stopped.stderr).toContain('what has arrived is kept');
    const partial = readdirSync(path.join(folder, 'models', path.dirname(NAME)));
    expect(partial).toContain('sd_turbo.safetensors.part.json');
    expect(partial).not.toContain('sd_turbo.safetensors.part.lock');
    hub.fault = () => false;
    expect(await run('pull', 'sd-turbo', '--quiet')).toMatchObject({ code: 0, stderr: '' });
    expect((await run('rm', 'sd-turbo', '--json')).stdout).toContain(`"freed_bytes": ${40 * MiB}`);
  });

  it('reports errors with exit codes and what to do', async () => {
    hub.gate = (_, response) => {
      response.writeHead(401).end();
      return true;
    };
    const refused = await run('pull', 'sd-turbo', '--json');
    expect(refused.code).toBe(2);
    expect(JSON.parse(refused.stdout)).toMatchObject({ ok: false, error: { code: 'UNAUTHORIZED' } });
    expect(refused.stderr).toContain('HF_TOKEN');
    expect((await run('pull', 'pocket')).stderr).toContain('part of the package');
    expect((await run('pull', 'dall-e')).code).toBe(3);
    const missing = await runCli(['generate', 'a cat', '--model', 'sd-turbo'], { folder, env });
    expect(missing.stderr).toContain('hint: imageforge models pull sd-turbo');
  });
});
