// Downloads from a local server that breaks off, lies, and refuses.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DownloadOptions, downloadFile } from '../../../src/registry/download.js';
import { makeFolder } from '../../folder.js';
import { FakeHub, sendRange, sha256 } from './fake-hub.js';

const KiB = 1024;
const SIZE = 700 * KiB + 123;
const NAME = 'owner/name/weights.gguf';

let hub: FakeHub;
let folder: string;
let content: Buffer;
let target: string;
/** The pauses that the download asked for. */
let pauses: number[];

beforeEach(async () => {
  hub = await FakeHub.start();
  folder = makeFolder('download');
  target = path.join(folder, 'owner', 'weights.gguf');
  content = hub.put(NAME, SIZE);
  pauses = [];
});
afterEach(() => hub.stop());

function download(options: Partial<DownloadOptions> = {}, expected = content): Promise<void> {
  return downloadFile(
    {
      url: `${hub.endpoint}/owner/name/resolve/main/weights.gguf`,
      repo: 'owner/name',
      path: 'weights.gguf',
      size: expected.length,
      sha256: sha256(expected),
    },
    target,
    {
      access: { endpoint: hub.endpoint },
      segmentBytes: 128 * KiB,
      wait: async (ms) => {
        pauses.push(ms);
      },
      ...options,
    },
  );
}

const left = () => readdirSync(path.dirname(target)).sort();

function expectWhole(): void {
  expect(readFileSync(target).equals(content)).toBe(true);
  expect(left()).toEqual(['weights.gguf']);
}

describe('downloadFile', () => {
  it('fetches ranges over several connections, and leaves nothing but the file', async () => {
    const seen: number[] = [];
    await download({ onProgress: ({ bytes, phase }) => phase === 'download' && seen.push(bytes) });
    expectWhole();
    const ranges = hub.requests.map(({ range }) => range!.first / KiB).sort((a, b) => a - b);
    expect(ranges).toEqual([0, 128, 256, 384, 512, 640]);
    expect(seen.at(-1)).toBe(SIZE);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(pauses).toEqual([]);
  });

  it('resumes within a range after its connection breaks', async () => {
    hub.fault = ({ range, count }, response, bytes) => {
      if (count >= 6) return false;
      const half = bytes.subarray(range!.first, range!.first + 40 * KiB);
      response.writeHead(206, {
        'content-range': `bytes ${range!.first}-${range!.last}/${SIZE}`,
        'content-length': range!.last + 1 - range!.first,
      });
      response.write(half, () => response.destroy());
      return true;
    };
    await download();
    expectWhole();
    expect(pauses).toHaveLength(6);
    expect(hub.requests.some(({ range }) => range!.first % (128 * KiB) !== 0)).toBe(true);
  });

  it('resumes where an earlier process stopped', async () => {
    hub.fault = ({ range }, response) => {
      if (range!.first < 256 * KiB) return false;
      response.writeHead(404).end();
      return true;
    };
    await expect(download({ connections: 1 })).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
    expect(left()).toEqual(['weights.gguf.part', 'weights.gguf.part.json']);
    hub.fault = () => false;
    hub.requests.length = 0;
    await download();
    expectWhole();
    expect(Math.min(...hub.requests.map(({ range }) => range!.first))).toBe(256 * KiB);
  });

  it('starts over if the leftovers belong to other content or are damaged', async () => {
    for (const state of [
      '{"version":1}',
      'not json',
      JSON.stringify({ version: 1, size: 5, sha256: '', done: [5] }),
    ]) {
      mkdirSync(path.dirname(target), { recursive: true });
      writeFileSync(`${target}.part`, 'rubbish');
      writeFileSync(`${target}.part.json`, state);
      await download();
      expectWhole();
    }
  });

  it('starts over once if the bytes of an earlier run were wrong', async () => {
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(`${target}.part`, Buffer.alloc(SIZE));
    const done = [128, 128, 0, 0, 0, 0].map((count) => count * KiB);
    const state = { version: 1, size: SIZE, sha256: sha256(content), segmentBytes: 128 * KiB, done };
    writeFileSync(`${target}.part.json`, JSON.stringify(state));
    await download();
    expectWhole();
    expect(hub.requests).toHaveLength(4 + 6);
  });

  it('refuses wrong bytes, and keeps none of them', async () => {
    const wrong = Buffer.from(content);
    wrong[SIZE - 1]! ^= 1;
    await expect(download({}, wrong)).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      message: expect.stringContaining(
        `expected content with sha256 ${sha256(wrong)}, found ${sha256(content)}`,
      ),
      exitCode: 8,
    });
    expect(existsSync(target)).toBe(false);
    hub.requests.length = 0;
    await download();
    expect(hub.requests).toHaveLength(6);
    expectWhole();
  });

  it.each([
    ['answers 200', { status: 200, header: () => undefined }],
    ['names another range', { status: 206, header: () => `bytes 0-9/${SIZE}` }],
    ['names no range', { status: 206, header: () => undefined }],
  ])('takes the whole file from a server that ignores ranges: %s', async (_, { status, header }) => {
    hub.fault = ({ range }, response, bytes) => {
      const contentRange = header();
      if (range) response.writeHead(status, contentRange ? { 'content-range': contentRange } : {}).end(bytes);
      return range !== undefined;
    };
    await download();
    expectWhole();
    expect(hub.requests.filter(({ range }) => !range)).toHaveLength(1);
  });

  it('accepts shorter ranges that are declared as such', async () => {
    hub.fault = ({ range }, response, bytes) => {
      sendRange(response, bytes, { first: range!.first, last: Math.min(range!.last, range!.first + 50_000) });
      return true;
    };
    await download();
    expectWhole();
    expect(pauses).toEqual([]);
  });

  it('refuses a file of another size', async () => {
    hub.fault = ({ range }, response, bytes) => {
      response.writeHead(206, { 'content-range': `bytes ${range!.first}-${range!.last}/999` }).end(bytes);
      return true;
    };
    await expect(download()).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      message: `${NAME}: expected a file of ${SIZE} bytes, found one of 999.`,
    });
  });

  it('refuses more bytes than the file has', async () => {
    hub.fault = ({ range }, response, bytes) => {
      const contentRange = range && `bytes ${range.first}-${range.last}/${SIZE}`;
      response.writeHead(range ? 206 : 200, contentRange ? { 'content-range': contentRange } : {});
      response.write(bytes);
      response.end('more');
      return true;
    };
    await expect(download()).rejects.toMatchObject({ message: expect.stringContaining('found more') });
  });

  it('refuses a web page in place of the file', async () => {
    hub.fault = (_, response) => {
      response.setHeader('content-type', 'text/html').end('<form>log in</form>');
      return true;
    };
    await expect(download()).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      message: expect.stringContaining('found 19 of type text/html'),
    });
  });

  it('gives up if bodies are always too short', async () => {
    hub.fault = ({ range }, response, bytes) => {
      response.writeHead(206, { 'content-range': `bytes ${range!.first}-${range!.last}/${SIZE}` });
      response.end(bytes.subarray(range!.first, range!.first + 1));
      return true;
    };
    await expect(download({ connections: 1, tries: 4 })).rejects.toMatchObject({
      code: 'DOWNLOAD_FAILED',
      message: expect.stringMatching(/before the connection ended \(tried 4 times\)\.$/),
      hint: expect.stringContaining('what has arrived is kept'),
    });
    expect(pauses).toHaveLength(3);
  });

  it('drops a connection that falls silent', async () => {
    hub.fault = ({ range, count }, response, bytes) => {
      if (count > 0) return false;
      response.writeHead(206, { 'content-range': `bytes ${range!.first}-${range!.last}/${SIZE}` });
      response.write(bytes.subarray(range!.first, range!.first + 10));
      return true;
    };
    await download({ access: { endpoint: hub.endpoint, stallMs: 300 } });
    expectWhole();
  });

  it('waits as long as 429 and 503 ask for', async () => {
    hub.fault = ({ count }, response) => {
      if (count === 0) response.writeHead(429, { 'retry-after': '77' }).end();
      if (count === 1) response.writeHead(503).end();
      return count < 2;
    };
    await download({ connections: 1 });
    expectWhole();
    expect(pauses[0]).toBe(77_000);
    expect(pauses[1]).toBeGreaterThanOrEqual(1500);
    expect(pauses[1]).toBeLessThanOrEqual(2000);
  });

  it('does not wait for hours', async () => {
    hub.fault = (_, response) => {
      response.writeHead(429, { 'retry-after': '7200' }).end();
      return true;
    };
    await expect(download()).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
    expect(pauses).toEqual([]);
  });

  it('says what to do if a token is required, refused, or has no access', async () => {
    const answer = (status: number) => {
      hub.fault = (_, response) => {
        response.writeHead(status, { 'x-error-code': 'GatedRepo' }).end();
        return true;
      };
    };
    answer(401);
    await expect(download()).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: `${NAME}: the hub demands a token.`,
      hint: expect.stringMatching(/owner\/name .*settings\/tokens and set HF_TOKEN/),
    });
    const access = { endpoint: hub.endpoint, token: 'hf_secret' };
    await expect(download({ access })).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: `${NAME}: the hub does not accept the token.`,
    });
    answer(403);
    const refused = await download({ access }).catch((error) => error);
    expect(refused).toMatchObject({ code: 'FORBIDDEN', hint: expect.stringContaining('Accept the terms') });
    expect(JSON.stringify(refused)).not.toContain('hf_secret');
    expect(pauses).toEqual([]);
  });

  it('follows redirects, but the token stays with the hub', async () => {
    const storage = await FakeHub.start();
    try {
      storage.files.set(NAME, content);
      hub.fault = (_, response) => {
        response.writeHead(302, { location: `${storage.endpoint}/${NAME}` }).end();
        return true;
      };
      // A signed address has expired, so the hub is asked for a new one.
      storage.fault = ({ count }, response) => {
        if (count === 0) response.writeHead(403).end();
        return count === 0;
      };
      await download({ access: { endpoint: hub.endpoint, token: 'hf_secret' } });
      expectWhole();
      expect(new Set(hub.requests.map(({ authorization }) => authorization))).toEqual(
        new Set(['Bearer hf_secret']),
      );
      expect(new Set(storage.requests.map(({ authorization }) => authorization))).toEqual(
        new Set([undefined]),
      );
    } finally {
      await storage.stop();
    }
  });

  it.each(['https://127.0.0.1/x', 'file:///etc/passwd', 'ftp://127.0.0.1/x'])(
    'refuses a redirect to another scheme: %s',
    async (location) => {
      hub.fault = (_, response) => {
        response.writeHead(302, { location }).end();
        return true;
      };
      await expect(download()).rejects.toMatchObject({
        code: 'DOWNLOAD_FAILED',
        message: expect.stringContaining('expected a redirect to another http:// address'),
      });
    },
  );

  it('gives up after too many redirects', async () => {
    hub.fault = ({ path: name }, response) => {
      response.writeHead(302, { location: `/${name}` }).end();
      return true;
    };
    await expect(download()).rejects.toMatchObject({
      message: expect.stringContaining('redirects in a row'),
    });
  });

  it('keeps what has arrived when it is aborted', async () => {
    const controller = new AbortController();
    hub.fault = ({ range }, response, bytes) => {
      if (range!.first < 256 * KiB) return false;
      response.writeHead(206, { 'content-range': `bytes ${range!.first}-${range!.last}/${SIZE}` });
      response.write(bytes.subarray(range!.first, range!.first + KiB));
      controller.abort();
      return true;
    };
    await expect(download({ connections: 1, signal: controller.signal })).rejects.toMatchObject({
      code: 'ABORTED',
      exitCode: 130,
      hint: 'Run the same command again to go on.',
    });
    expect(left()).toEqual(['weights.gguf.part', 'weights.gguf.part.json']);
    const { done } = JSON.parse(readFileSync(`${target}.part.json`, 'utf8'));
    expect(done.slice(0, 2)).toEqual([128 * KiB, 128 * KiB]);
    hub.fault = () => false;
    await download();
    expectWhole();
  });

  it('refuses a second download of the same file, unless the first process is dead', async () => {
    let second: Promise<unknown> | undefined;
    hub.fault = () => {
      second ??= download().catch((error) => error);
      return false;
    };
    await download();
    expect(await second).toMatchObject({ code: 'BUSY' });
    rmSync(target);
    writeFileSync(`${target}.part.lock`, `${2 ** 22 + 1} ${(await import('node:os')).hostname()}`);
    await download();
    expectWhole();
  });

  it('names the folder that it cannot write to', async () => {
    writeFileSync(path.join(folder, 'owner'), 'a file in the way');
    await expect(download()).rejects.toMatchObject({
      code: 'OUTPUT_UNWRITABLE',
      hint: expect.stringContaining('IMAGEFORGE_MODEL_DIR'),
    });
  });
});
