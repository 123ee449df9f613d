#!/usr/bin/env node
// The entry of the command line: reads the arguments and runs one command. Commands import what they need when they
// run, so --help answers at once.
import { exitCodeOf } from '../shared/errors.js';
import { createProgram } from './program.js';
import { printError } from './report.js';

// With a handler, hitting the file-size limit (ulimit -f) is an error like a full disk and doesn't end the program.
process.on('SIGXFSZ', () => undefined);
// `imageforge … | head` closes stdout early; end quietly then.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

try {
  const program = await createProgram(process.argv.slice(2));
  await program.parseAsync();
} catch (error) {
  process.exitCode = printError(error, process.argv);
}

// After an abort, an engine that didn't end must not keep the process alive.
if (process.exitCode === exitCodeOf('ABORTED')) process.exit();
