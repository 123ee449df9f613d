import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { explain, prepareFolder, saveOutput } from '../../../../src/service/pictures/outputs.js';
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
