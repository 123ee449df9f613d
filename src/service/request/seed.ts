// The seed in the forms that doors accept.
import { z } from 'zod';
import { hasLostDigits, LOST_DIGITS, readSeed, SEED_EXPECTED } from '../../shared/seed.js';
import { describeValue } from './describe-value.js';

/** Refuses JSON numbers above 2^53 - 1 rather than round them, since they have lost digits by the time they are read. */
export const seedSchema = z
  .union([z.number(), z.string()])
  .superRefine((value, context) => {
    if (value === -1 || value === '-1' || readSeed(value) !== undefined) return;
    const hint = hasLostDigits(value) ? `. ${LOST_DIGITS}` : '';
    const message = `expected -1 or ${SEED_EXPECTED}, found ${describeValue(value)}${hint}`;
    context.addIssue({ code: 'custom', message });
  })
  .meta({
    anyOf: [
      { type: 'integer', minimum: -1, maximum: Number.MAX_SAFE_INTEGER },
      { type: 'string', pattern: '^(-1|[0-9]{1,20})$' },
    ],
  });
