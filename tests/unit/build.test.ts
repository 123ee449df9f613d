// The build: only the pinned ggml is unpacked, and missing tools are named with the command that installs them.
import { execFile } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'imageforge-build-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  code: number;
  stderr: string;
}

function run(script: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((done) => {
    const file = join(root, 'scripts/build', script);
    execFile(process.execPath, [file, ...args], { env: { ...process.env, ...env } }, (error, _, stderr) => {
      done({ code: typeof error?.code === 'number' ? error.code : 0, stderr });
    });
  });
}

describe('the source of ggml', () => {
  const pin = JSON.parse(readFileSync(join(root, 'third_party/ggml/pin.json'), 'utf8'));

  it('is pinned by version, sha512 and commit', () => {
    expect(pin).toMatchObject({
      version: '0.25.1',
      package: expect.stringMatching(/@\d+\.\d+\.\d+$/),
      integrity: expect.stringMatching(/^sha512-[\w+/]{86}==$/),
      commit: expect.stringMatching(/^[0-9a-f]{40}$/),
    });
  });

  it('is refused when the download is not the pinned one, and nothing of it is unpacked', async () => {
    const archive = join(folder, 'tampered.tgz');
    writeFileSync(archive, gzipSync(Buffer.alloc(2048, 'tampered')));
    const target = join(folder, 'source');
    for (const [args, env] of [
      [['--archive', archive, '--target', target], {}],
      [['--target', target], { IMAGEFORGE_GGML_ARCHIVE: archive }],
    ] as const) {
      const { code, stderr } = await run('fetch-ggml.mjs', [...args], env);
      expect(code).toBe(1);
      expect(stderr).toContain('not the one that this version of ImageForge was made with');
      expect(stderr).toContain(pin.integrity);
      expect(existsSync(target)).toBe(false);
    }
  });

  it('is refused when the archive is missing', async () => {
    const { code, stderr } = await run('fetch-ggml.mjs', [
      '--archive',
      join(folder, 'none.tgz'),
      '--target',
      'x',
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain("Can't read the archive");
  });

  it('is fetched again only when its pin changes', async () => {
    const target = join(folder, 'complete');
    mkdirSync(target);
    writeFileSync(join(target, '.pin'), `${pin.integrity} ${pin.commit}\n`);
    const args = ['--archive', join(folder, 'none.tgz'), '--target', target];
    expect((await run('fetch-ggml.mjs', args)).code).toBe(0);
    writeFileSync(join(target, '.pin'), 'sha512-other\n');
    expect((await run('fetch-ggml.mjs', args)).code).toBe(1);
  });
});

describe('the install script', () => {
  it('names the tools that are missing and the command that installs them', async () => {
    const tools = join(folder, 'tools');
    mkdirSync(tools);
    for (const name of ['git', 'tar', 'cc', 'c++', 'sh', 'env']) {
      const found = process.env.PATH!.split(delimiter).find((place) => existsSync(join(place, name)));
      if (found) symlinkSync(join(found, name), join(tools, name));
    }
    writeFileSync(join(tools, 'apt-get'), '#!/bin/sh\nexit 0\n');
    chmodSync(join(tools, 'apt-get'), 0o755);
    const { code, stderr } = await run('install.mjs', ['--build'], { PATH: tools, CC: '', CXX: '' });
    expect(code).toBe(1);
    expect(stderr).toContain('CMake 3.18 or newer');
    expect(stderr).toContain('Ninja or make');
    expect(stderr).not.toContain('compiler\n');
    if (process.platform === 'linux') expect(stderr).toMatch(/apt-get install -y cmake ninja-build/);
  });
});

describe('the GPUs that CUDA is compiled for', () => {
  /** What cuda-architectures.cmake chooses if nvidia-smi prints `cards` and the compiler supports 7.5 and newer. */
  async function choose(cards: string | undefined, args: string[] = []): Promise<Ended> {
    const tools = mkdtempSync(join(folder, 'cuda-'));
    const program = (name: string, script: string) => {
      writeFileSync(join(tools, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      return join(tools, name);
    };
    program('nvidia-smi', cards === undefined ? 'exit 9' : `printf '${cards}'`);
    const nvcc = program('nvcc', "printf 'compute_75\\ncompute_89\\ncompute_120\\n'");
    const script = join(tools, 'choose.cmake');
    const choice = join(root, 'third_party/ggml/cuda-architectures.cmake');
    writeFileSync(script, `include("${choice}")\nmessage("chosen: \${CMAKE_CUDA_ARCHITECTURES}")\n`);
    const env = { ...process.env, PATH: `${tools}${delimiter}${process.env.PATH}` };
    const given = [`-DCUDAToolkit_NVCC_EXECUTABLE=${nvcc}`, '-DCUDAToolkit_VERSION=13.0', ...args];
    return new Promise((done) => {
      execFile('cmake', [...given, '-P', script], { env }, (error, _, stderr) => {
        done({ code: typeof error?.code === 'number' ? error.code : 0, stderr });
      });
    });
  }

  it("are the machine's, each once", async () => {
    expect((await choose('8.9\\n12.0\\n8.9\\n')).stderr).toBe('chosen: 89-real;120-real\n');
  });

  it('are those that the user names', async () => {
    const { stderr } = await choose('8.9\\n', ['-DCMAKE_CUDA_ARCHITECTURES=75']);
    expect(stderr).toBe('chosen: 75\n');
  });

  it('are left to ggml, with a message, if there is none', async () => {
    const { stderr } = await choose(undefined);
    expect(stderr).toMatch(/^ImageForge: no NVIDIA card answers here.*CMAKE_CUDA_ARCHITECTURES=89/);
    expect(stderr).toContain('chosen: \n');
  });

  it('are refused if the toolkit no longer supports them', async () => {
    const { code, stderr } = await choose('6.1\\n');
    expect(code).toBe(1);
    expect(stderr.replace(/\s+/g, ' ')).toContain('capability 6.1; CUDA 13.0 compiles for 7.5, 8.9, 12.0.');
  });
});
