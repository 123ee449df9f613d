// The only error class, and the table of what each code means for HTTP and the command line.

interface Meaning {
  /** HTTP status. */
  readonly status: number;
  /** CLI exit code. */
  readonly exit: number;
}

const table = {
  // what the user asked
  INVALID_ARGUMENT: { status: 400, exit: 2 },
  NOT_FOUND: { status: 404, exit: 3 },
  MODEL_NOT_FOUND: { status: 404, exit: 3 },
  MODEL_GUARDED: { status: 403, exit: 4 },
  MODEL_INCOMPLETE: { status: 422, exit: 4 },
  UNAUTHORIZED: { status: 401, exit: 2 },
  FORBIDDEN: { status: 403, exit: 2 },
  TOO_LARGE: { status: 413, exit: 2 },
  // weights
  WEIGHTS_UNREADABLE: { status: 422, exit: 5 },
  WEIGHTS_INVALID: { status: 422, exit: 5 },
  UNSUPPORTED: { status: 422, exit: 5 },
  // the machine
  OUT_OF_MEMORY: { status: 507, exit: 6 },
  DEVICE_UNAVAILABLE: { status: 503, exit: 6 },
  OUTPUT_UNWRITABLE: { status: 500, exit: 7 },
  NO_SPACE: { status: 507, exit: 7 },
  DOWNLOAD_FAILED: { status: 502, exit: 8 },
  // the run
  QUEUE_FULL: { status: 429, exit: 9 },
  BUSY: { status: 409, exit: 9 },
  CLOSED: { status: 503, exit: 9 },
  ABORTED: { status: 499, exit: 130 },
  TIMEOUT: { status: 504, exit: 9 },
  ENGINE_CRASHED: { status: 500, exit: 10 },
  BAD_IMAGE: { status: 500, exit: 11 },
  CONFIG_INVALID: { status: 500, exit: 12 },
  ADDON_MISSING: { status: 500, exit: 13 },
  INTERNAL: { status: 500, exit: 1 },
} as const satisfies Record<string, Meaning>;

/** Kinds of errors. docs/errors.md lists them with their HTTP status and exit code. @useDeclaredType */
export type ErrorCode = keyof typeof table;

/** How a command ends that fails with this code. */
export function exitCodeOf(code: ErrorCode): number {
  return table[code].exit;
}

/** What an error carries besides its code and message. */
export interface ErrorOptions {
  /** What the user can do about it: a full sentence or a command. */
  hint?: string;
  /** Facts for programs: the file, the tensor, the limit … They must survive JSON. */
  details?: Record<string, unknown>;
  /** What led to it. */
  cause?: unknown;
}

/** Every error that leaves the library is one of these. `message` says what was found and what was expected. */
export class ImageForgeError extends Error {
  /** The kind of error, which stays the same from release to release. */
  readonly code: ErrorCode;
  /** What to do about it, a full sentence or a command. */
  readonly hint: string | undefined;
  /** Facts for programs: the file, the tensor, the limit, … */
  readonly details: Record<string, unknown> | undefined;

  /** `message` says what was found and what was expected. */
  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ImageForgeError';
    this.code = code;
    this.hint = options.hint;
    this.details = options.details;
  }

  /** The HTTP status of such an error. */
  get status(): number {
    return table[this.code].status;
  }

  /** The command line's exit code for such an error. */
  get exitCode(): number {
    return table[this.code].exit;
  }

  /** The form that travels between processes; `fromJSON` turns it back into an error. */
  toJSON(): SerializedError {
    const { code, message, hint, details } = this;
    return { code, message, ...(hint !== undefined && { hint }), ...(details !== undefined && { details }) };
  }

  /** The error that {@link toJSON} described; an unknown code becomes INTERNAL. */
  static fromJSON(value: SerializedError): ImageForgeError {
    const { code, message, hint, details } = value;
    return new ImageForgeError(isErrorCode(code) ? code : 'INTERNAL', message, {
      ...(hint !== undefined && { hint }),
      ...(details !== undefined && { details }),
    });
  }

  /** Turns anything thrown into an ImageForgeError. Native errors keep their code; an AbortError becomes ABORTED. */
  static from(error: unknown): ImageForgeError {
    if (error instanceof ImageForgeError) return error;
    if (error instanceof Error) {
      const code = (error as { code?: unknown }).code;
      if (typeof code === 'string' && isErrorCode(code))
        return new ImageForgeError(code, error.message, { cause: error });
      if (error.name === 'AbortError')
        return new ImageForgeError('ABORTED', 'The generation was cancelled.', { cause: error });
      return new ImageForgeError('INTERNAL', error.message, { cause: error });
    }
    return new ImageForgeError('INTERNAL', String(error));
  }
}

/** An error as JSON. */
export interface SerializedError {
  /** An {@link ErrorCode}, or a code of a newer release. */
  code: string;
  /** What was found and what was expected. */
  message: string;
  /** What to do about it. */
  hint?: string;
  /** Facts for programs. */
  details?: Record<string, unknown>;
}

export function isErrorCode(value: string): value is ErrorCode {
  return Object.hasOwn(table, value);
}
