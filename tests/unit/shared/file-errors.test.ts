import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ImageForgeError } from '../../../src/shared/errors.js';
import { describeFileError, explainWriteError } from '../../../src/shared/file-errors.js';

const hints = { full: 'Free some space.', unwritable: 'Choose another folder.' };
const failed = (code: string) => Object.assign(new Error('x'), { code });

describe('describeFileError', () => {
  it('has words for what the file system says', () => {
    expect(describeFileError(failed('EACCES'))).toBe('access is denied');
    expect(describeFileError(failed('ENOSPC'))).toBe('the disk is full');
    expect(describeFileError(failed('EWEIRD'))).toBe('EWEIRD');
    expect(describeFileError(new Error('it broke'))).toBe('it broke');
    try {
      readFileSync('/no/such/file');
      expect.unreachable();
    } catch (error) {
      expect(describeFileError(error)).toBe('there is no such file');
    }
  });
});

describe('explainWriteError', () => {
  it.each([
    ['ENOSPC', 'NO_SPACE', 'the disk is full', hints.full],
    ['EDQUOT', 'NO_SPACE', 'the quota is used up', hints.full],
    ['EROFS', 'OUTPUT_UNWRITABLE', 'the file system is read-only', hints.unwritable],
    ['ENOENT', 'OUTPUT_UNWRITABLE', 'there is no such folder', hints.unwritable],
  ])('calls %s %s', (code, expected, reason, hint) => {
    expect(explainWriteError(failed(code), { folder: '/out' }, hints)).toMatchObject({
      code: expected,
      message: `Cannot write to /out: ${reason}.`,
      hint,
      details: { folder: '/out', code },
    });
  });

  it('leaves other errors as they are', () => {
    const own = new ImageForgeError('BUSY', 'busy');
    expect(explainWriteError(own, { folder: '/out' }, hints)).toBe(own);
    expect(explainWriteError(new TypeError('a defect'), { folder: '/out' }, hints)).toMatchObject({
      code: 'INTERNAL',
      message: 'a defect',
    });
  });
});
