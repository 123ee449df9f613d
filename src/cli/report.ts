// Reports a failed command: one line (and a hint) on stderr, a JSON document on stdout with --json, and the exit code of
// the error.
import { CommanderError } from 'commander';
import { ImageForgeError } from '../shared/errors.js';

/** Prints the error and returns the exit code. */
export function printError(error: unknown, argv: readonly string[]): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  const known = error instanceof CommanderError ? fromCommander(error) : ImageForgeError.from(error);
  const { message, hint } = known;
  const verbose = argv.includes('--verbose') || argv.includes('-v');
  if (argv.includes('--json'))
    process.stdout.write(`${JSON.stringify({ ok: false, error: known.toJSON() }, null, 2)}\n`);
  process.stderr.write(`error: ${oneLine(message)}\n`);
  if (hint) process.stderr.write(`hint: ${oneLine(hint)}\n`);
  const stack = error instanceof Error && !(error instanceof CommanderError) ? error.stack : undefined;
  if (stack && (verbose || known.code === 'INTERNAL'))
    process.stderr.write(`${describeCauses(error as Error)}\n`);
  return known.exitCode;
}

function fromCommander({ code, message }: CommanderError): ImageForgeError {
  // For a bare `imageforge` commander gives the whole help as the message.
  if (code === 'commander.help') return new ImageForgeError('INVALID_ARGUMENT', 'a command is missing');
  return new ImageForgeError('INVALID_ARGUMENT', message.replace(/^error: /, ''), {
    ...(code === 'commander.excessArguments' && { hint: 'Put a prompt of several words in quotes.' }),
  });
}

function describeCauses(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${describeCauses(error.cause)}` : '';
  return `${error.stack ?? error.message}${cause}`;
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ');
}
