import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { makeFolder } from '../folder.js';
import { testModel } from '../test-model.js';
import { main, runCli } from './run-cli.js';

// A busy machine starts processes slowly.
vi.setConfig({ testTimeout: 240_000 });

const toModule = (source: string) => `data:text/javascript,${encodeURIComponent(source)}`;

describe('imageforge', () => {
  it('lists its commands, and says when one is missing', async () => {
    const help = await runCli(['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const command of [
      'generate',
      'edit',
      'inpaint',
      'upscale',
      'models',
      'status',
      'config',
      'open-output',
      'doctor',
      'bench',
      'selftest',
      'serve',
      'mcp',
      'convert',
    ])
      expect(help.stdout).toContain(`\n  ${command}`);
    const bare = await runCli([]);
    expect(bare).toMatchObject({ code: 2, stdout: '' });
    expect(bare.stderr).toContain('error: a command is missing');
  });

  it('prints its version', async () => {
    const { version } = JSON.parse(readFileSync(path.resolve(main, '../../../package.json'), 'utf8'));
    expect((await runCli(['--version'])).stdout.trim()).toBe(version);
  });

  it('answers --help at once: loads nothing but the list of commands', () => {
    const hooks = toModule(
      `import { writeSync } from 'node:fs';
       export function load(url, context, next) { writeSync(2, url + '\\n'); return next(url, context); }`,
    );
    const register = toModule(`import { register } from 'node:module'; register(${JSON.stringify(hooks)});`);
    const { status, stderr } = spawnSync(process.execPath, ['--import', register, main, '--help'], {
      encoding: 'utf8',
    });
    expect(status).toBe(0);
    const loaded = stderr.split('\n').filter((url) => url.startsWith('file:'));
    expect(loaded.some((url) => url.endsWith('/dist/cli/program.js'))).toBe(true);
    expect(loaded.filter((url) => /\/node_modules\/(?!commander\/)/.test(url))).toEqual([]);
    expect(loaded.filter((url) => /\/dist\/(?!cli\/|shared\/)/.test(url))).toEqual([]);
  });
});

describe('config', () => {
  it('shows values and their origin, but no secrets', async () => {
    const { stdout } = await runCli(['config'], {
      env: { FLUX_OUTPUT_DIR: '/pictures', API_KEY: 'hunter2-hunter2' },
    });
    expect(stdout).toMatch(/^FLUX_OUTPUT_DIR\s+\/pictures\s+set$/m);
    expect(stdout).toMatch(/^PORT\s+8765\s+default$/m);
    expect(stdout).toMatch(/^API_KEY\s+\*\*\*\s+set$/m);
    expect(stdout).not.toContain('hunter2');
    expect(JSON.parse((await runCli(['config', '--json'])).stdout)).toMatchObject({
      PORT: 8765,
      MAX_RES: 1024,
    });
  });
});

describe('models', () => {
  it('lists known models and marks the default', async () => {
    const env = { IMAGEFORGE_MODEL: 'flux2-dev' };
    const { models } = JSON.parse((await runCli(['models', 'list', '--json'], { env })).stdout);
    const find = (key: string) => models.find((model: { key: string }) => model.key === key);
    expect(find('flux2-dev')).toMatchObject({ default: true, available: false, default_steps: 50 });
    expect(find('flux-q4')).toMatchObject({ default: false, guard: 'ALLOW_FLUX', allowed: false });
    expect((await runCli(['models'], { env })).stdout).toMatch(/^\* flux2-dev\s.*not on this disk/m);
  });

  it('inspects a file', async () => {
    const { code, stdout } = await runCli(['models', 'inspect', testModel.model, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ family: 'sd1', missing: [] });
    expect((await runCli(['models', 'inspect', testModel.model])).stdout).toMatch(/^Network\s+unet/m);
  });
});

describe('status and doctor', () => {
  it('show devices and folders', async () => {
    const folder = makeFolder('cli');
    const status = JSON.parse((await runCli(['status', '--json'], { folder })).stdout);
    expect(status).toMatchObject({
      output_dir: path.join(folder, 'outputs'),
      cuda_available: expect.any(Boolean),
    });
    expect(status.devices).toContainEqual(expect.objectContaining({ id: 'cpu', kind: 'cpu' }));
  });

  it('check what a generation needs', async () => {
    const good = await runCli(['doctor', '--json']);
    expect(good.code).toBe(0);
    expect(JSON.parse(good.stdout).ok).toBe(true);
    const bad = await runCli(['doctor'], { env: { OUTPUT_DIR: '/proc/x' } });
    expect(bad.code).toBe(7);
    expect(bad.stdout).toMatch(/^FAIL\s+Output folder: Cannot write to \/proc\/x/m);
  });

  it('fail if the requested device is missing', async () => {
    const DEVICE = process.platform === 'darwin' ? 'cuda' : 'metal';
    const { code, stdout } = await runCli(['doctor'], { env: { DEVICE } });
    expect(code).toBe(6);
    expect(stdout).toMatch(
      new RegExp(`^FAIL\\s+Native addon: found .*cpu \\(.*; DEVICE asks for ${DEVICE}$`, 'm'),
    );
  });
});

describe('bench', () => {
  const quick = ['-s', '3', '-w', '64', '-h', '64'];
  it('measures loading, a step, decoding and memory', async () => {
    const { code, stdout } = await runCli(['bench', ...quick, '--runs', '2', '--json', '-q']);
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ device: 'cpu', width: 64, height: 64, steps: 3, runs: 2 });
    for (const name of ['ready_s', 'step_s', 'decode_s', 'total_s'])
      expect(result[name], name).toBeGreaterThan(0);
    expect(result.ready_s).toBeGreaterThanOrEqual(result.load_s);
    expect(result.peak_memory).toBeGreaterThan(1e7);
    const folder = makeFolder('cli');
    const text = await runCli(['bench', ...quick, '--runs', '1'], { folder });
    expect(text.stdout).toMatch(/^Step\s+[\d.e-]+ s \(.* it\/s\)$/m);
    expect(text.stdout).toMatch(/^Peak memory\s+\d+ MB$/m);
    expect(existsSync(path.join(folder, 'outputs'))).toBe(false);
  });

  it('refuses a nonsensical number of runs', async () => {
    const { code, stderr } = await runCli(['bench', '--runs', '0']);
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('--runs: expected') });
  });
});

describe('selftest', () => {
  it('prints what users of the replaced program know', async () => {
    const folder = makeFolder('cli');
    const { code, stdout } = await runCli(['selftest', '--gen'], { folder });
    const { version } = JSON.parse(readFileSync(path.resolve(main, '../../../package.json'), 'utf8'));
    expect(stdout.trimEnd().split('\n')).toEqual([
      `[selftest] initialize ok: imageforge v${version}`,
      expect.stringMatching(
        /^\[selftest\] list_tools -> \['generate_image', 'edit_image', 'inpaint_image', 'assist_prompt', 'list_models'/,
      ),
      '[selftest] list_models ok (sd-turbo present)',
      '[selftest] assist_prompt ok: {"prompt": "a red fox", "assisted": false, "source": "passthrough"}',
      '[selftest] generate_image (this loads a model; may take a while)...',
      "[selftest] generate_image -> content kinds: ['image', 'text', 'resource_link']",
      expect.stringMatching(/^\[selftest\] generate_image ok: \d+ bytes PNG, mime=image\/png$/),
      '[selftest] ALL PASS',
    ]);
    expect(code).toBe(0);
  });

  it('is one JSON document with --json', async () => {
    const env = { OLLAMA_URL: 'http://127.0.0.1:2', LOG_LEVEL: 'silent' };
    const { stdout, code } = await runCli(['selftest', '--json'], { folder: makeFolder('cli'), env });
    const { ok, passed } = JSON.parse(stdout);
    expect([code, ok]).toEqual([0, true]);
    expect(passed.at(-1)).toBe('ALL PASS');
  });
});

describe('open-output', () => {
  it('makes the folder and prints it, with or without a file manager', async () => {
    const folder = makeFolder('cli');
    const { stdout, code, stderr } = await runCli(['open-output'], { folder, env: { PATH: '' } });
    expect(stdout.trim()).toBe(path.join(folder, 'outputs'));
    expect(code).toBe(3);
    expect(stderr).toContain('could not be started');
    const asked = await runCli(['open-output', '--json'], { folder, env: { PATH: '' } });
    expect(asked.code).toBe(3);
    expect(JSON.parse(asked.stdout)).toMatchObject({ ok: false, error: { code: 'NOT_FOUND' } });
  });
});
