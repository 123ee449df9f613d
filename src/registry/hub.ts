// Asks the Hugging Face hub for a file's size, its sha256 and its address.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../shared/config.js';
import type { HubFile } from './catalog.js';
import { failed, type HubAccess, requestHub, STALL_MS, Temporary } from './hub-request.js';
import { type RetryOptions, retry } from './retry.js';

export interface HubFileInfo extends HubFile {
  url: string;
  size: number;
  /** Lower-case hexadecimal. */
  sha256: string;
}

/** The hub's address and the user's token: HF_TOKEN, else the token that `hf auth login` stored in HF_HOME. */
export function readHubAccess({
  hubEndpoint,
  hubToken,
  hubHome,
}: Pick<Config, 'hubEndpoint' | 'hubToken' | 'hubHome'>): HubAccess {
  return { endpoint: hubEndpoint, token: hubToken ?? readTokenFile(path.join(hubHome, 'token')) };
}

/** @throws ImageForgeError UNAUTHORIZED, FORBIDDEN, DOWNLOAD_FAILED. */
export async function describeHubFile(
  file: HubFile,
  access: HubAccess,
  options: RetryOptions = {},
): Promise<HubFileInfo> {
  const what = `${file.repo}/${file.path}`;
  // takes half a second to load, and only a pull needs it
  const { pathsInfo } = await import('@huggingface/hub');
  const ask = (): ReturnType<typeof pathsInfo> =>
    pathsInfo({
      repo: file.repo,
      paths: [file.path],
      hubUrl: access.endpoint,
      fetch: (url, { method, headers, body } = {}) =>
        requestHub(
          String(url),
          {
            ...(method !== undefined && { method }),
            headers: headers as Record<string, string>,
            body: String(body),
            signal: withTimeout(options.signal, access.stallMs),
            what,
            repo: file.repo,
          },
          access,
        ),
    }).catch((error: Error) => {
      options.signal?.throwIfAborted();
      if (error.name === 'TypeError' || error.name === 'TimeoutError')
        throw new Temporary(`${what}: the hub's answer broke off`, 0, { cause: error });
      if (error instanceof SyntaxError || /malformed/.test(error.message))
        throw failed(`${what}: expected a list of files from ${access.endpoint}, found something else.`, {
          hint: 'Check HF_ENDPOINT, and that no proxy asks for a login.',
          cause: error,
        });
      throw error;
    });
  const found = (await retry(ask, options)).find((info) => info.path === file.path);
  if (!found) {
    throw failed(`${what}: there is no such file on ${new URL(access.endpoint).host}.`, {
      hint: `It may have moved: look at ${access.endpoint}/${file.repo}, and put the file into the model folder by hand.`,
      details: { ...file },
    });
  }
  const { size, oid } = found.lfs ?? { size: found.size, oid: '' };
  if (!Number.isSafeInteger(size) || size <= 0 || !/^[0-9a-f]{64}$/.test(oid)) {
    throw failed(`${what}: expected a size and a sha256 from the hub, found ${size} and ${oid || 'none'}.`);
  }
  const name = file.path.split('/').map(encodeURIComponent).join('/');
  return { ...file, url: `${access.endpoint}/${file.repo}/resolve/main/${name}`, size, sha256: oid };
}

function withTimeout(signal: AbortSignal | undefined, ms = STALL_MS): AbortSignal {
  const timeout = AbortSignal.timeout(ms);
  return signal ? AbortSignal.any([signal, timeout]) : timeout;
}

function readTokenFile(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}
