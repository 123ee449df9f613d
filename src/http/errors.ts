// Formats errors for each kind of client: FastAPI's `detail` beside our typed `error`, OpenAI's form, and the WebUI's.
import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { z } from 'zod';
import { ImageForgeError } from '../shared/errors.js';

export const errorSchema = z
  .object({
    ok: z.literal(false),
    detail: z
      .union([
        z.string(),
        z.array(
          z.object({ type: z.string(), loc: z.array(z.union([z.string(), z.int()])), msg: z.string() }),
        ),
      ])
      .describe('What was wrong: a string, or one entry per field of the request'),
    error: z.object({
      code: z.string().describe('Stable name of the kind of error'),
      message: z.string(),
      hint: z.string().optional().describe('What to do about it'),
      details: z.record(z.string(), z.unknown()).optional(),
    }),
  })
  .meta({ id: 'Error' });

interface Problem {
  field: string;
  message: string;
}

/** Answers a failed request in the form of the API that it came through. */
export function answerError(c: Context, thrown: unknown, retryAfterSeconds: number): Response {
  const error = thrown instanceof HTTPException ? fromHono(thrown) : ImageForgeError.from(thrown);
  if (error.status === 429 || error.status === 503) {
    c.header('Retry-After', String(Math.min(600, Math.max(1, Math.ceil(retryAfterSeconds)))));
  }
  if (error.status === 401) c.header('WWW-Authenticate', 'Bearer realm="imageforge"');
  if (c.req.path.startsWith('/v1/')) return c.json(toOpenAi(error), status(error.status));
  if (c.req.path.startsWith('/sdapi/')) return c.json(toWebUi(error), status(error.status));
  const problems = readProblems(error);
  return c.json(
    {
      ok: false,
      detail: problems.length > 0 ? problems.map(toFastApi) : error.message,
      error: publish(error),
    },
    status(problems.length > 0 ? 422 : error.status),
  );
}

/** The parts of an error that clients may see, without internal details. */
export function publish(error: ImageForgeError): ReturnType<ImageForgeError['toJSON']> {
  const { details, ...rest } = error.toJSON();
  const { problems: _problems, ...told } = details ?? {};
  return Object.keys(told).length > 0 ? { ...rest, details: told } : rest;
}

/** @throws ImageForgeError INVALID_ARGUMENT that FastAPI clients see as a 422 for this field. */
export function refuseField(field: string, message: string): never {
  throw new ImageForgeError('INVALID_ARGUMENT', message, {
    details: { fields: [field], problems: [{ field, message }] },
  });
}

function readProblems({ code, details }: ImageForgeError): Problem[] {
  const found = code === 'INVALID_ARGUMENT' ? details?.problems : undefined;
  return Array.isArray(found) ? (found as Problem[]) : [];
}

function toFastApi({ field, message }: Problem) {
  const loc = [
    'body',
    ...field
      .split('.')
      .filter(Boolean)
      .map((part) => (/^\d+$/.test(part) ? Number(part) : part)),
  ];
  return { type: message.endsWith('found nothing') ? 'missing' : 'value_error', loc, msg: message };
}

export function toOpenAi(error: ImageForgeError) {
  const types: Record<number, string> = { 401: 'authentication_error', 429: 'rate_limit_error' };
  const type = types[error.status] ?? (error.status < 500 ? 'invalid_request_error' : 'server_error');
  const fields = error.details?.fields;
  const param = Array.isArray(fields) ? (fields[0] ?? null) : null;
  const message = error.hint ? `${error.message} ${error.hint}` : error.message;
  return { error: { message, type, param, code: error.code.toLowerCase() } };
}

function toWebUi(error: ImageForgeError) {
  const { message, code } = error;
  return { error: code, detail: message, body: '', errors: error.hint ?? '' };
}

function fromHono(error: HTTPException): ImageForgeError {
  const code = error.status === 413 ? 'TOO_LARGE' : error.status < 500 ? 'INVALID_ARGUMENT' : 'INTERNAL';
  return new ImageForgeError(code, error.message || 'The request cannot be read.', { cause: error });
}

function status(code: number): ContentfulStatusCode {
  return code as ContentfulStatusCode;
}
