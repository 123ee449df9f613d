#!/usr/bin/env node
// The command line's entry: reads the arguments and hands over to one command. Commands load what they need when they
// run, so that --help answers at once.
import { exitCodeOf } from '../shared/errors.js';
import { createProgram } from './program.js';
import { printError } from './report.js';

// A file-size limit (ulimit -f) then is an error like a full disk, not the program's end.
process.on('SIGXFSZ', () => undefined);
// `imageforge … | head` ends quietly.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

try {
  const program = await createProgram(process.argv.slice(2));
  await program.parseAsync();
} catch (error) {
  process.exitCode = printError(error, process.argv);
}

// An engine that could not be asked to end must not keep a finished command.
if (process.exitCode === exitCodeOf('ABORTED')) process.exit();
