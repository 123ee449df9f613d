import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { testModel } from '../test-model.js';
import { main, makeFolder, runCli } from './run-cli.js';

// a loaded machine starts processes slowly
vi.setConfig({ testTimeout: 240_000 });

const toModule = (source: string) => `data:text/javascript,${encodeURIComponent(source)}`;

describe('imageforge', () => {
  it('lists its commands, and says which one is missing', async () => {
    const help = await runCli(['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const command of [
      'generate',
      'edit',
      'inpaint',
      'models',
      'status',
      'config',
      'open-output',
      'doctor',
    ])
      expect(help.stdout).toContain(`\n  ${command}`);
    const bare = await runCli([]);
    expect(bare).toMatchObject({ code: 2, stdout: '' });
    expect(bare.stderr).toContain('error: a command is missing');
  });

  it('tells its version', async () => {
    const { version } = JSON.parse(readFileSync(path.resolve(main, '../../../package.json'), 'utf8'));
    expect((await runCli(['--version'])).stdout.trim()).toBe(version);
  });

  it('answers --help at once: nothing is loaded beside the list of commands', () => {
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
  it('shows values and where they come from, but no secret', async () => {
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
  it('lists what is known, and which one is used', async () => {
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
    const folder = makeFolder();
    const status = JSON.parse((await runCli(['status', '--json'], { folder })).stdout);
    expect(status).toMatchObject({
      output_dir: path.join(folder, 'outputs'),
      cuda_available: expect.any(Boolean),
    });
    expect(status.devices).toContainEqual(expect.objectContaining({ id: 'cpu', kind: 'cpu' }));
  });

  it('checks what a generation needs', async () => {
    const good = await runCli(['doctor', '--json']);
    expect(good.code).toBe(0);
    expect(JSON.parse(good.stdout).ok).toBe(true);
    const bad = await runCli(['doctor'], { env: { OUTPUT_DIR: '/proc/x' } });
    expect(bad.code).toBe(7);
    expect(bad.stdout).toMatch(/^FAIL\s+Output folder: Cannot write to \/proc\/x/m);
  });
});

describe('open-output', () => {
  it('makes the folder and prints it, with or without a file manager', async () => {
    const folder = makeFolder();
    const { stdout, code, stderr } = await runCli(['open-output'], { folder, env: { PATH: '' } });
    expect(stdout.trim()).toBe(path.join(folder, 'outputs'));
    expect(code).toBe(3);
    expect(stderr).toContain('could not be started');
  });
});
