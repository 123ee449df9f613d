// Limits request bodies, each on its own and all together: a body counts until its request is answered.
import type { Context, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { ImageForgeError } from '../shared/errors.js';
import { LIMITS } from '../shared/limits.js';
import { refuseField } from './errors.js';

/** Room for two pictures in base64 and the other fields. */
const MAX_BODY = 2 * LIMITS.pictureLength + 2 ** 20;
const MAX_TOGETHER = 2 ** 29;

/**
 * Starts at most one request with a body per turn of the event loop. When many arrive at once, the server still answers
 * others in between, /health above all.
 */
export function takeTurns(): MiddlewareHandler {
  const waiting: (() => void)[] = [];
  const admit = () => {
    waiting.shift()?.();
    if (waiting.length > 0) setImmediate(admit);
  };
  return async (c, next) => {
    if (c.req.method === 'POST') {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        if (waiting.length === 1) setImmediate(admit);
      });
    }
    await next();
  };
}

export function limitBodies(): MiddlewareHandler[] {
  let together = 0;
  const limitAll: MiddlewareHandler = async (c, next) => {
    const length = Number(c.req.header('content-length') ?? (c.req.raw.body ? MAX_BODY : 0));
    if (together > 0 && together + length > MAX_TOGETHER) {
      throw new ImageForgeError('QUEUE_FULL', 'Too many large requests are already being read.', {
        hint: 'Try again later.',
      });
    }
    together += length;
    try {
      await next();
    } finally {
      together -= length;
    }
  };
  const limitOne = bodyLimit({
    maxSize: MAX_BODY,
    onError: () => {
      throw new ImageForgeError('TOO_LARGE', `The request has more than ${MAX_BODY} bytes.`, {
        hint: 'Name a local file by its path instead, or send a smaller picture.',
      });
    },
  });
  return [limitOne, limitAll];
}

/** Reads the JSON object in a request's body. @throws ImageForgeError INVALID_ARGUMENT. */
export async function readJson(c: Context): Promise<Record<string, unknown>> {
  const text = await c.req.text();
  let value: unknown;
  try {
    value = text === '' ? undefined : JSON.parse(text);
  } catch (error) {
    refuseField('', `expected JSON: ${(error as Error).message}`);
  }
  if (value === undefined) refuseField('', 'expected a JSON object, found nothing');
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    refuseField('', `expected a JSON object, found ${Array.isArray(value) ? 'a list' : typeof value}`);
  return value as Record<string, unknown>;
}
