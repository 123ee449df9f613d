// One request to the Hugging Face hub. Redirects are followed by hand, so that the token goes to the hub's own origin only
// and no redirect changes the scheme. Failures are sorted into those worth another try (Temporary) and the others.
import type { ErrorCode, ErrorOptions } from '../shared/errors.js';
import { ImageForgeError } from '../shared/errors.js';

export interface HubAccess {
  /** Address of the hub, without a slash at the end. */
  endpoint: string;
  token?: string | undefined;
  /** Milliseconds without a byte after which a connection counts as broken. */
  stallMs?: number;
}

export interface HubRequest {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal | undefined;
  /** What messages call the file, such as owner/name/file.gguf. */
  what: string;
  /** The repository, whose terms users may have to accept. */
  repo: string;
}

/** A failure that may pass: the request is worth another try. */
export class Temporary extends Error {
  constructor(
    message: string,
    readonly retryAfterMs = 0,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

const MAX_REDIRECTS = 8;
export const STALL_MS = 30_000;

/**
 * Returns a successful answer. Its body has not been read yet.
 * @throws Temporary, or ImageForgeError UNAUTHORIZED, FORBIDDEN, DOWNLOAD_FAILED.
 */
export async function requestHub(url: string, request: HubRequest, access: HubAccess): Promise<Response> {
  const home = new URL(access.endpoint).origin;
  let current = new URL(url);
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const atHome = current.origin === home;
    const response = await send(current, request, atHome ? access : { ...access, token: undefined });
    if (![301, 302, 303, 307, 308].includes(response.status)) {
      if (response.ok) return response;
      throw await explainStatus(response, request, atHome, access);
    }
    await response.body?.cancel();
    current = followLocation(current, response.headers.get('location'), request.what);
  }
  throw failed(`${request.what}: found more than ${MAX_REDIRECTS} redirects in a row.`);
}

/** An error that no retry helps against. */
export function failed(message: string, options: ErrorOptions = {}, code: ErrorCode = 'DOWNLOAD_FAILED') {
  return new ImageForgeError(code, message, options);
}

async function send(url: URL, request: HubRequest, { token, stallMs = STALL_MS }: HubAccess) {
  const { method = 'GET', headers = {}, body, signal } = request;
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(), stallMs);
  try {
    return await fetch(url, {
      method,
      redirect: 'manual',
      headers: {
        ...headers,
        // a compressed body would not have the bytes of the range
        'accept-encoding': 'identity',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      ...(body !== undefined && { body }),
      signal: signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal,
    });
  } catch (error) {
    signal?.throwIfAborted();
    const reason = stalled.signal.aborted ? 'no answer' : describeNetworkError(error);
    throw new Temporary(`${url.host}: ${reason}`, 0, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

function followLocation(from: URL, location: string | null, what: string): URL {
  if (location === null || !URL.canParse(location, from.href))
    throw failed(`${what}: found a redirect without an address.`);
  const to = new URL(location, from);
  if (to.protocol !== from.protocol) {
    throw failed(
      `${what}: expected a redirect to another ${from.protocol}// address, found ${to.protocol}//${to.host}.`,
      { hint: 'Check HF_ENDPOINT and the proxy; a download does not change its scheme.' },
    );
  }
  return to;
}

async function explainStatus(response: Response, request: HubRequest, atHome: boolean, access: HubAccess) {
  const { status, headers } = response;
  const { what, repo } = request;
  const code = headers.get('x-error-code');
  await response.body?.cancel();
  // a signed address on another host has expired: the hub gives a new one
  const isExpired = !atHome && (status === 401 || status === 403);
  if (isExpired || status === 408 || status === 425 || status === 429 || status >= 500)
    return new Temporary(
      `${what}: the server answered ${status}`,
      readRetryAfter(headers.get('retry-after')),
    );
  const page = `${access.endpoint}/${repo}`;
  const details = { repo, status };
  if (status === 401) {
    const hint =
      access.token === undefined
        ? `Accept the terms at ${page} if it asks for that, make a token at ${access.endpoint}/settings/tokens and set HF_TOKEN.`
        : `Check HF_TOKEN: it may have expired, or ${repo} may not exist any more.`;
    const found = access.token === undefined ? 'demands a token' : 'does not accept the token';
    return failed(`${what}: the hub ${found}.`, { hint, details }, 'UNAUTHORIZED');
  }
  if (status === 403) {
    const hint = `Accept the terms at ${page} with the account of HF_TOKEN; a fine-grained token also needs access to gated repositories.`;
    const found = access.token === undefined ? 'without a token' : 'to the account of HF_TOKEN';
    return failed(`${what}: the hub does not give it ${found}.`, { hint, details }, 'FORBIDDEN');
  }
  if (status === 404 || status === 410) {
    const missing = code === 'RepoNotFound' ? `there is no repository ${repo}` : 'there is no such file';
    return failed(`${what}: ${missing} on ${new URL(access.endpoint).host}.`, {
      hint: `It may have moved: look at ${page}, and put the file into the model folder by hand.`,
      details,
    });
  }
  return failed(`${what}: expected the file, found an answer ${status}.`, { details });
}

/** Reads seconds or a date as milliseconds from now. */
function readRetryAfter(value: string | null): number {
  if (value === null) return 0;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}

/** Finds the reason for a failed fetch, which hides it in causes. */
export function describeNetworkError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  if (error.cause instanceof Error) return describeNetworkError(error.cause);
  return code !== undefined && !error.message.includes(code) ? `${error.message} (${code})` : error.message;
}
