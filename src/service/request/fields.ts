// Checks a door's fields against a schema. Errors name each bad field, what was found and what is allowed.
import type { z } from 'zod';
import { ImageForgeError } from '../../shared/errors.js';
import { decodeBase64, type PictureSource } from '../pictures/source.js';
import { describeValue } from './describe-value.js';

/** Picks the value of a field that has several names. Refuses two that disagree. */
export function pickOne<T>(fields: Record<string, unknown>, names: string[]): T | undefined {
  const given = names.filter((name) => fields[name] !== undefined && fields[name] !== null);
  const [first, second] = given;
  if (first !== undefined && second !== undefined && fields[first] !== fields[second]) {
    throw invalid(
      `${first} and ${second} are the same field and disagree: ${fields[first]} and ${fields[second]}`,
    );
  }
  return first === undefined ? undefined : (fields[first] as T);
}

/** Parses a door's fields with a schema. @throws ImageForgeError INVALID_ARGUMENT that names each bad field. */
export function parseFields<T extends z.ZodObject>(schema: T, input: unknown): z.infer<T> {
  const parsed = schema.safeParse(input);
  if (!parsed.success) throw describeProblems(parsed.error, input);
  return parsed.data;
}

/** Reads a picture field: the request carries the picture itself or names it by a path. */
export function readSourceField(
  fields: Record<string, unknown>,
  inline: string,
  paths: string[],
): PictureSource {
  const encoded = fields[inline] as string | null | undefined;
  const path = pickOne<string>(fields, paths);
  if (encoded && path) throw invalid(`expected either ${inline} or ${paths[0]}, found both`);
  if (path) return { path };
  if (!encoded) throw invalid(`expected ${inline} (base64) or ${paths[0]}, found neither`);
  return decodeBase64(encoded, inline);
}

function describeProblems(error: z.ZodError, input: unknown): ImageForgeError {
  const problems = error.issues.map((issue) => ({
    field: issue.path.join('.'),
    message: describeIssue(issue, input),
  }));
  const fields = problems.map(({ field }) => field).filter(Boolean);
  return invalid(problems.map(({ message }) => message).join('; '), { fields, problems });
}

function describeIssue(issue: z.core.$ZodIssue, input: unknown): string {
  const name = issue.path.join('.') || 'request';
  const value = issue.path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown> | null)?.[key],
    input,
  );
  if (issue.code === 'custom') return `${name}: ${issue.message}`;
  return `${name}: expected ${describeExpected(issue)}, found ${describeValue(value)}`;
}

function describeExpected(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`;
    case 'too_small':
      return issue.origin === 'string' ? 'text that is not empty' : `at least ${issue.minimum}`;
    case 'too_big':
      return `at most ${issue.maximum}${issue.origin === 'string' ? ' characters' : ''}`;
    case 'invalid_value':
      return `one of ${issue.values.join(', ')}`;
    case 'invalid_type':
      return (
        {
          int: 'a whole number',
          number: 'a number',
          string: 'text',
          boolean: 'true or false',
          array: 'a list',
        }[issue.expected as string] ?? `an ${issue.expected}`
      );
    default:
      return issue.message;
  }
}

export function invalid(message: string, details?: Record<string, unknown>): ImageForgeError {
  return new ImageForgeError('INVALID_ARGUMENT', message, details && { details });
}
