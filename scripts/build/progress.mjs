// Shows the progress of a long build on stderr: on a terminal one line that is rewritten, elsewhere a line every few seconds.

const interval = 5_000;

export class Progress {
  #terminal = process.stderr.isTTY === true;
  #started = Date.now();
  #last = 0;
  #open = false;

  /** Starts a phase. Always prints. */
  phase(text) {
    this.#endLine();
    process.stderr.write(`imageforge: ${text}\n`);
    this.#last = Date.now();
  }

  /** @param {number} part from 0 to 1 */
  update(part, text) {
    const now = Date.now();
    const percent = `${Math.floor(part * 100)}`.padStart(3);
    if (this.#terminal) {
      const width = Math.max(20, (process.stderr.columns || 80) - 1);
      const filled = Math.round(part * 24);
      const line = `imageforge: [${'#'.repeat(filled)}${'.'.repeat(24 - filled)}] ${percent}% ${text}`;
      process.stderr.write(`\r${line.slice(0, width).padEnd(width)}`);
      this.#open = true;
    } else if (now - this.#last >= interval) {
      this.#last = now;
      process.stderr.write(`imageforge: ${percent}% ${text}\n`);
    }
  }

  /** Prints the last line, with the total time. */
  done(text) {
    this.#endLine();
    process.stderr.write(`imageforge: ${text} (${((Date.now() - this.#started) / 1000).toFixed(0)} s)\n`);
  }

  fail(text) {
    this.#endLine();
    process.stderr.write(`${text.replace(/^/gm, 'imageforge: ')}\n`);
  }

  #endLine() {
    if (this.#open) process.stderr.write('\n');
    this.#open = false;
  }
}
