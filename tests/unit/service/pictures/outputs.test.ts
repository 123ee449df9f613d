import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  describeOtherNames,
  explain,
  prepareFolder,
  requireFree,
  saveOutput,
  savePicture,
} from '../../../../src/service/pictures/outputs.js';
import { makeFolder } from '../../../folder.js';

let folder: string;
beforeEach(() => {
  folder = makeFolder('outputs');
});

const save = (name = 'flux_20260102_030405_42', image = Buffer.from('pixels')) =>
  saveOutput(path.join(folder, name), { image, describe: (filename) => ({ filename }) });

describe('saveOutput', () => {
  it('writes picture and sidecar, and nothing else', async () => {
    const { imagePath, sidecarPath } = await save();
    expect(path.basename(imagePath)).toBe('flux_20260102_030405_42.png');
    expect(readFileSync(imagePath, 'utf8')).toBe('pixels');
    expect(JSON.parse(readFileSync(sidecarPath, 'utf8'))).toEqual({
      filename: 'flux_20260102_030405_42.png',
    });
    expect(readdirSync(folder)).toHaveLength(2);
  });

  it('overwrites nothing: neither a picture nor a sidecar without a picture', async () => {
    const names = [];
    writeFileSync(path.join(folder, 'a_2.json'), 'mine');
    for (let i = 0; i < 3; i++) names.push(path.basename((await save('a')).imagePath));
    expect(names).toEqual(['a.png', 'a_3.png', 'a_4.png']);
    expect(readFileSync(path.join(folder, 'a_2.json'), 'utf8')).toBe('mine');
    expect(JSON.parse(readFileSync(path.join(folder, 'a_4.json'), 'utf8')).filename).toBe('a_4.png');
    expect(existsSync(path.join(folder, 'a_2.png'))).toBe(false);
  });

  it('does not write through a dangling link', async () => {
    symlinkSync(path.join(folder, 'elsewhere'), path.join(folder, 'a.png'));
    expect(path.basename((await save('a')).imagePath)).toBe('a_2.png');
    expect(existsSync(path.join(folder, 'elsewhere'))).toBe(false);
  });

  it('gives concurrent writers different names', async () => {
    const saved = await Promise.all(Array.from({ length: 20 }, (_, i) => save('same', Buffer.from(`${i}`))));
    expect(new Set(saved.map(({ imagePath }) => imagePath)).size).toBe(20);
    expect(new Set(saved.map(({ imagePath }) => readFileSync(imagePath, 'utf8'))).size).toBe(20);
    expect(readdirSync(folder)).toHaveLength(40);
  });

  it('leaves nothing behind when the sidecar cannot be made', async () => {
    const broken = saveOutput(path.join(folder, 'a'), {
      image: Buffer.from('pixels'),
      describe: () => {
        throw Object.assign(new Error('full'), { code: 'ENOSPC' });
      },
    });
    await expect(broken).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('a requested name', () => {
  const png = Buffer.from('new');
  const at = (name: string) => path.join(folder, name);
  const put = (target: object, place = 0) =>
    savePicture(png, { filename: '' }, { file: at('x.png'), ...target }, 'unused', place);

  it.each(['x.png', 'x.json', 'x_2.png', 'x_2.json'])(
    'is refused when %s exists, before anything is drawn',
    async (name) => {
      writeFileSync(at(name), 'mine');
      await expect(requireFree({ file: at('x.png') }, 2)).rejects.toMatchObject({
        code: 'OUTPUT_UNWRITABLE',
        exitCode: 7,
        message: expect.stringContaining(at(name)),
        hint: expect.stringContaining('--force'),
        details: { files: [at(name)] },
      });
      await requireFree({ file: at('x.png'), existing: 'replace' }, 2);
      await requireFree({ file: at('x.png'), enabled: false }, 2);
      await requireFree({ file: at('other') }, 2);
    },
  );

  it('must not be a folder, even with --force', async () => {
    mkdirSync(at('x.png'));
    const target = { file: at('x.png'), existing: 'replace' } as const;
    await expect(requireFree(target)).rejects.toThrow('is a folder');
  });

  it('replaces picture and sidecar, and nothing else', async () => {
    for (const name of ['x.png', 'x.json', 'x_2.png']) writeFileSync(at(name), 'old');
    symlinkSync(at('x_2.png'), at('x_3.png'));
    for (const place of [0, 2]) await put({ existing: 'replace' }, place);
    expect(readFileSync(at('x.png'), 'utf8')).toBe('new');
    expect(JSON.parse(readFileSync(at('x.json'), 'utf8')).filename).toBe('x.png');
    // The link is replaced, not the file that it names.
    expect(readFileSync(at('x_2.png'), 'utf8')).toBe('old');
    expect(readdirSync(folder).sort()).toEqual(['x.json', 'x.png', 'x_2.png', 'x_3.json', 'x_3.png']);
  });

  it('keeps its extension', async () => {
    expect((await put({ file: at('x.PNG') }, 1)).path).toBe(at('x_2.PNG'));
    expect((await put({ file: at('y') })).path).toBe(at('y.png'));
  });

  it('says so if the file appeared meanwhile', async () => {
    writeFileSync(at('x.png'), 'mine');
    const saved = await put({});
    expect(saved.path).toBe(at('x_2.png'));
    expect(readFileSync(at('x.png'), 'utf8')).toBe('mine');
    expect(describeOtherNames({ file: at('x.png') }, [saved])).toEqual([expect.stringContaining('x_2.png')]);
    expect(describeOtherNames({ file: at('x_2.png') }, [saved])).toEqual([]);
  });
});

describe('prepareFolder', () => {
  it('makes nested folders', async () => {
    await prepareFolder(path.join(folder, 'a/b/c'), 1000);
    expect(readdirSync(path.join(folder, 'a/b/c'))).toEqual([]);
  });

  it('refuses a file, and a folder inside a file', async () => {
    writeFileSync(path.join(folder, 'file'), '');
    for (const name of ['file', 'file/below', 'file/below/deep'])
      await expect(prepareFolder(path.join(folder, name), 0)).rejects.toMatchObject({
        code: 'OUTPUT_UNWRITABLE',
        exitCode: 7,
      });
  });

  it.skipIf(process.platform !== 'linux')(
    'refuses a folder where nobody can write, not even root',
    async () => {
      await expect(prepareFolder('/proc/pictures', 0)).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE' });
      await expect(prepareFolder('/proc/self', 0)).rejects.toMatchObject({ code: 'OUTPUT_UNWRITABLE' });
    },
  );

  it('refuses if there is too little space, with the figures', async () => {
    mkdirSync(path.join(folder, 'out'));
    await expect(prepareFolder(path.join(folder, 'out'), Number.MAX_SAFE_INTEGER)).rejects.toMatchObject({
      code: 'NO_SPACE',
      message: expect.stringMatching(/may be needed, \d+ KiB are free/),
    });
  });
});

describe('explain', () => {
  it.each([
    ['ENOSPC', 'NO_SPACE'],
    ['EDQUOT', 'NO_SPACE'],
    ['EFBIG', 'NO_SPACE'],
    ['EACCES', 'OUTPUT_UNWRITABLE'],
    ['EROFS', 'OUTPUT_UNWRITABLE'],
  ])('calls %s %s', (code, expected) => {
    const error = explain(Object.assign(new Error('x'), { code }), '/out');
    expect(error).toMatchObject({ code: expected, details: { folder: '/out' } });
    expect(error.hint).toContain('--output-dir');
  });
});
