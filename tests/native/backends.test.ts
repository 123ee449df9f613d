// A GPU backend that was compiled and doesn't load: ggml passes over it, the addon says why. The addon is copied beside
// a library that is none, and asked in a process of its own.
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import { temporaryFolder } from './tiny-clip.js';

const root = path.resolve(import.meta.dirname, '../..');
const addon = createRequire(import.meta.url)('node-gyp-build').path(root) as string;
const folder = temporaryFolder();
afterAll(() => folder.dispose());

const ASK = `const addon = require(process.argv[1]);
const open = (device) => { try { new addon.Engine({ device }); } catch ({ code, message }) { return { code, message }; } };
console.log(JSON.stringify({ devices: addon.devices(), silent: addon.silentBackends(), cuda: open('cuda0'), vulkan: open('vulkan'), other: open('tpu') }));`;

it('tells what keeps a backend from loading, and which were not compiled', async () => {
  const beside = path.join(folder.path, 'addon');
  mkdirSync(beside);
  for (const name of readdirSync(path.dirname(addon)))
    if (/^(imageforge.*\.node|libimageforge-ggml.*|libggml-cpu.*)$/.test(name))
      cpSync(path.join(path.dirname(addon), name), path.join(beside, name));
  writeFileSync(path.join(beside, 'libggml-cuda.so'), 'no library');

  const copy = path.join(beside, path.basename(addon));
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', ASK, copy]);
  const { devices, silent, cuda, vulkan, other } = JSON.parse(stdout);
  expect(devices.map(({ id }: { id: string }) => id)).toEqual(['cpu']);
  expect(silent).toEqual([
    { kind: 'cuda', reason: expect.stringContaining("libggml-cuda.so doesn't load: ") },
  ]);
  const code = 'DEVICE_UNAVAILABLE';
  expect(cuda).toEqual({
    code,
    message: `There is no device "cuda0"; found: cpu. ${silent[0].reason}.`,
  });
  expect(vulkan).toEqual({ code, message: expect.stringMatching(/compiled without .* IMAGEFORGE_VULKAN=1/) });
  expect(other).toEqual({ code, message: 'There is no device "tpu"; found: cpu.' });
});
