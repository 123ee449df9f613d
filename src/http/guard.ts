// Decides who may use the server. It checks the Host header (against DNS rebinding), the Origin header (against web pages
// from elsewhere that talk to this machine through a browser), and the API key.
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import type { MiddlewareHandler } from 'hono';
import type { Config } from '../shared/config.js';
import { ImageForgeError } from '../shared/errors.js';

type GuardConfig = Pick<Config, 'host' | 'apiKey' | 'allowRemote'>;

/** Answered without a key, since they reveal nothing about anybody's pictures. */
const OPEN_PATHS = /^\/(health|docs(\/.*)?|openapi\.json)$/;

/** @throws ImageForgeError CONFIG_INVALID for settings that would open the server to others by accident. */
export function requireSafeBinding({ host, apiKey, allowRemote }: GuardConfig): void {
  if (isLoopback(host) || apiKey !== undefined || allowRemote) return;
  throw new ImageForgeError(
    'CONFIG_INVALID',
    `HOST=${host} would open the server to other machines without a key.`,
    {
      hint: 'Set API_KEY, or ALLOW_REMOTE=1 if everybody on that network may use it.',
    },
  );
}

export function guardRequests(config: GuardConfig): MiddlewareHandler {
  const key = config.apiKey === undefined ? undefined : digest(config.apiKey);
  return async (c, next) => {
    const host = hostnameOf(`http://${c.req.header('host') ?? ''}`);
    if (host === undefined || !isKnownHost(host, config)) {
      throw new ImageForgeError('FORBIDDEN', 'The Host header does not name this server.', {
        hint: 'Use the address or name in HOST; with an API_KEY any name works.',
      });
    }
    const origin = c.req.header('origin');
    if (origin !== undefined && !isKnownOrigin(origin, host)) {
      throw new ImageForgeError('FORBIDDEN', 'Web pages from other sites may not use this server.');
    }
    if (key && c.req.method !== 'OPTIONS' && !OPEN_PATHS.test(c.req.path)) {
      const given = readKey(c.req.header('authorization'), c.req.header('x-api-key'));
      if (given === undefined || !timingSafeEqual(digest(given), key)) {
        throw new ImageForgeError(
          'UNAUTHORIZED',
          given === undefined ? 'A key is needed.' : 'The key is wrong.',
          {
            hint: 'Send API_KEY as "Authorization: Bearer …" or "X-API-Key: …".',
          },
        );
      }
    }
    await next();
  };
}

/** For CORS: accepts pages from this machine and from the server's own name. */
export function isKnownOrigin(origin: string, host: string): boolean {
  const name = hostnameOf(origin);
  return name !== undefined && (isLoopback(name) || name === host);
}

export function isLoopback(name: string): boolean {
  const bare = unbracket(name).toLowerCase();
  return (
    bare === 'localhost' || bare.endsWith('.localhost') || bare === '::1' || /^127(\.\d{1,3}){3}$/.test(bare)
  );
}

/** A DNS rebinding page sends its own name, never an address, and it has no key. */
function isKnownHost(name: string, { host, apiKey }: GuardConfig): boolean {
  if (isLoopback(name) || name === unbracket(host).toLowerCase()) return true;
  if (isLoopback(host)) return false;
  return apiKey !== undefined || isIP(name) !== 0 || name === hostname().toLowerCase();
}

function hostnameOf(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined;
  const { protocol, hostname: name } = new URL(address);
  return /^https?:$/.test(protocol) && name !== '' ? unbracket(name).toLowerCase() : undefined;
}

function unbracket(name: string): string {
  return name.replace(/^\[(.*)\]$/, '$1');
}

function readKey(authorization: string | undefined, header: string | undefined): string | undefined {
  return /^Bearer\s+(\S+)$/i.exec(authorization ?? '')?.[1] ?? header;
}

/** Digests all have the same length, so comparing them does not reveal the length of the key. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
