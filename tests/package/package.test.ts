// The package as its users get it: packed with a prebuilt addon, installed from the tarball into an empty folder, then
// imported, type-checked and run there. No C++ is compiled.
import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve, sep } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const built = ['build/Release/imageforge.node', 'dist/index.js'].filter((file) =>
  existsSync(join(root, file)),
);
const reason = built.length === 2 ? '' : '(skipped: the addon and dist/ are not built here)';
const hasPocket = existsSync(join(root, 'models/pocket.gguf'));

const work = mkdtempSync(join(tmpdir(), 'imageforge-package-'));
const consumer = join(work, 'consumer');
afterAll(() => rmSync(work, { recursive: true, force: true }));

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

function run(folder: string, command: string, ...args: string[]): Promise<Ended> {
  const options = { cwd: folder, env: cleanEnvironment(), maxBuffer: 2 ** 26 };
  return new Promise((done) => {
    execFile(command, args, options, (error, stdout, stderr) => {
      done({ code: error ? (typeof error.code === 'number' ? error.code : 1) : 0, stdout, stderr });
    });
  });
}

/** The environment without the variables that `npm test` sets for its children and without our own settings. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const own = /^(npm_(lifecycle|package|command)|INIT_CWD$|NODE_ENV$|VITEST|IMAGEFORGE_)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)));
}

/** A copy of the project that packs like a release: without what git ignores, and with the prebuilt addon in place. */
async function packRelease(): Promise<{ archive: string; files: string[] }> {
  const project = join(work, 'project');
  const left = new Set(['node_modules', 'build', 'prebuilds', 'outputs', 'cache', 'shared']);
  cpSync(root, project, {
    recursive: true,
    filter: (file) => {
      const [top = '', ...rest] = relative(root, file).split(sep);
      // Hidden files belong to tools, and scripts/*/out to training runs.
      return !(left.has(top) || /^\../.test(top) || (top === 'scripts' && rest[1] === 'out'));
    },
  });
  mkdirSync(join(project, 'build'));
  symlinkSync(join(root, 'build/Release'), join(project, 'build/Release'), 'junction');
  const laid = await run(project, process.execPath, 'scripts/build/prebuild.mjs');
  expect(laid.code, laid.stderr).toBe(0);
  const packed = await run(project, 'npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', work);
  expect(packed.code, packed.stderr).toBe(0);
  const [{ filename, files }] = JSON.parse(packed.stdout);
  return {
    archive: join(work, filename),
    files: files.map(({ path }: { path: string }) => path),
  };
}

describe.skipIf(reason)(`the packed package ${reason}`, () => {
  let files: string[];
  let archive: string;
  beforeAll(async () => {
    ({ archive, files } = await packRelease());
  }, 120_000);

  it('holds the program, its data, the prebuilt addon and the sources to build it, and nothing else', () => {
    const kinds = {
      program: /^dist\/.+\.(js|d\.ts)$/,
      data: /^(assets\/.+|models\/pocket\.gguf)$/,
      prebuilt: /^prebuilds\/[\w-]+\/(imageforge\.\w*\.?node|lib(imageforge-)?ggml[\w-]*\.(so|dylib))$/,
      sources: /^native\/(addon|core|kernels|models|nn)\/(.+\.(cpp|h|mm|cu)|CMakeLists\.txt)$/,
      ggml: /^third_party\/ggml\/[\w.-]+$/,
      build: /^(CMakeLists\.txt|native\/CMakeLists\.txt|scripts\/build\/[\w-]+\.mjs)$/,
      papers: /^(LICENSE|README\.md|package\.json)$/,
    };
    expect(files.filter((file) => !Object.values(kinds).some((kind) => kind.test(file)))).toEqual([]);
    expect(files.filter((file) => /golden|\.safetensors$/.test(file))).toEqual([]);
    for (const [name, kind] of Object.entries(kinds))
      expect(
        files.some((file) => kind.test(file)),
        name,
      ).toBe(true);
    expect(files).toEqual(
      expect.arrayContaining([
        'dist/index.js',
        'dist/index.d.ts',
        'dist/cli/main.js',
        'dist/engine/host.js',
        'assets/clip-merges.bin',
        'native/addon/addon.cpp',
        'scripts/build/install.mjs',
        'third_party/ggml/pin.json',
        'third_party/ggml/LICENSE',
        ...(hasPocket ? ['models/pocket.gguf'] : []),
      ]),
    );
  });

  it('holds nothing compiled from a deleted source', () => {
    const orphans = files
      .filter((file) => /^dist\/.+\.js$/.test(file))
      .filter((file) => !existsSync(join(root, file.replace(/^dist/, 'src').replace(/\.js$/, '.ts'))));
    expect(orphans).toEqual([]);
  });

  describe('installed into an empty folder', () => {
    let unreachable = '';
    beforeAll(async () => {
      mkdirSync(consumer);
      writeFileSync(join(consumer, 'package.json'), JSON.stringify({ name: 'consumer', type: 'module' }));
      const { code, stdout, stderr } = await run(
        consumer,
        'npm',
        'install',
        '--prefer-offline',
        '--fetch-retries=1',
        '--no-audit',
        '--no-fund',
        '--foreground-scripts',
        archive,
      );
      const network = /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED)\b/;
      if (code !== 0 && network.test(stderr))
        unreachable = `the package registry can't be reached: ${network.exec(stderr)![1]}`;
      else expect(code, stderr).toBe(0);
      if (!unreachable) expect(stdout + stderr).toContain('using the prebuilt addon');
    }, 240_000);

    it('resolves with its types', async ({ skip }) => {
      skip(unreachable !== '', unreachable);
      writeFileSync(
        join(consumer, 'consumer.ts'),
        `import { ImageForge, ImageForgeError, type GenerationResult } from 'imageforge';
const forge = new ImageForge({ isolation: 'thread' });
export const made: Promise<GenerationResult> = forge.generate({ prompt: 'a red star', seed: 42 }).then((result) => result);
// @ts-expect-error a prompt is needed
forge.generate({ seed: 42 });
export const refused = (error: unknown) => error instanceof ImageForgeError && error.code === 'ABORTED';
`,
      );
      const types = join(root, 'node_modules/@types');
      const { code, stdout } = await run(
        consumer,
        process.execPath,
        join(root, 'node_modules/typescript/bin/tsc'),
        '--noEmit',
        '--strict',
        '--target',
        'es2022',
        '--lib',
        'es2023,esnext.disposable',
        '--module',
        'nodenext',
        '--typeRoots',
        types,
        '--types',
        'node',
        'consumer.ts',
      );
      expect(stdout).toBe('');
      expect(code).toBe(0);
    });

    it('can be imported, and exports only what is documented', async ({ skip }) => {
      skip(unreachable !== '', unreachable);
      const script = "import('imageforge').then((found) => console.log(Object.keys(found).sort().join()))";
      expect(await run(consumer, process.execPath, '-e', script)).toMatchObject({
        code: 0,
        stdout: 'GeneratedImage,ImageForge,ImageForgeError,Picture\n',
      });
      const inside = "import('imageforge/dist/engine/client.js').catch(({ code }) => console.log(code))";
      expect(await run(consumer, process.execPath, '-e', inside)).toMatchObject({
        stdout: 'ERR_PACKAGE_PATH_NOT_EXPORTED\n',
      });
    });

    it('has its command line', async ({ skip }) => {
      skip(unreachable !== '', unreachable);
      const { code, stdout, stderr } = await run(consumer, 'npx', '--no', '--', 'imageforge', '--help');
      expect(code, stderr).toBe(0);
      expect(stdout).toContain('generate [options] [prompt]');
    });

    it(`generates a picture ${hasPocket ? '' : '(skipped: models/pocket.gguf is not here)'}`, async ({
      skip,
    }) => {
      skip(!hasPocket, 'models/pocket.gguf is not here');
      skip(unreachable !== '', unreachable);
      const { code, stdout, stderr } = await run(
        consumer,
        'npx',
        '--no',
        '--',
        'imageforge',
        'generate',
        'a red star',
        '--steps',
        '4',
        '--seed',
        '42',
      );
      expect(code, stderr).toBe(0);
      const picture = resolve(consumer, stdout.trim());
      expect(relative(join(consumer, 'outputs'), picture)).not.toMatch(/^\.\./);
      expect(statSync(picture).size).toBeGreaterThan(500);
      expect(existsSync(picture.replace(/\.png$/, '.json'))).toBe(true);
    });
  });
});
